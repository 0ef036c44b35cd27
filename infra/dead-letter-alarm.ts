import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { Construct } from "constructs";
import { tellTopic } from "./alarm-topic.ts";
import type { Configuration } from "./configuration.ts";

/**
 * Goes off while a message lies in a dead-letter queue. What fails is recorded and acknowledged, so that only an order
 * comes there which crashed its worker each time, or which nobody understands: a fault of ours (docs/deploy.md, Alarms).
 */
export class DeadLetterAlarm extends Construct {
  /** @param queueName the queue may be of another stack. */
  constructor(
    scope: Construct,
    id: string,
    { name, alarms }: Pick<Configuration, "name" | "alarms">,
    queueName: string,
  ) {
    super(scope, id);
    const alarm = new Alarm(this, "Alarm", {
      alarmName: `${name}: dead letters in ${queueName}`,
      alarmDescription:
        `A message lies in the dead-letter queue ${queueName}: it was tried five times and never acknowledged. ` +
        "Runbook: docs/deploy.md, Alarms, dead letters.",
      // The queue tells once a minute while it was used in the last six hours, and a message keeps it used.
      metric: new Metric({
        namespace: "AWS/SQS",
        metricName: "ApproximateNumberOfMessagesVisible",
        dimensionsMap: { QueueName: queueName },
        statistic: "Maximum",
        period: Duration.minutes(5),
      }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      // An idle queue tells nothing, perhaps with the message still in it: the alarm stays as it is.
      treatMissingData: TreatMissingData.IGNORE,
    });
    tellTopic(alarm, alarms);
  }
}
