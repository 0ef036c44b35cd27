import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { FilterPattern, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { MirrorEvent } from "../mirror/events.ts";
import { tellTopic } from "./alarm-topic.ts";
import type { Configuration } from "./configuration.ts";
import type { MirrorFunction } from "./mirror-function.ts";

/** The `event.action` of the line that is logged (mirror/event-log.ts). */
const FORKED: Extract<MirrorEvent, { event: "forked" }>["event"] = "forked";
/**
 * Each tick of reconcile says it again while a database is stopped; an hour holds several of any sensible schedule, so
 * that the alarm does not go off and on between them. It ends within an hour after the stop is lifted.
 */
const WINDOW = Duration.hours(1);

/** Goes off when a checksum database forked, and stays while it is stopped (docs/deploy.md has its runbook). */
export class ForkAlarm extends Construct {
  /** @param watched the functions that may find a fork, reconcile among them. */
  constructor(
    scope: Construct,
    id: string,
    { name, alarms }: Pick<Configuration, "name" | "alarms">,
    watched: readonly MirrorFunction[],
  ) {
    super(scope, id);
    const metric = { metricNamespace: `modferry/${name}`, metricName: "ChecksumDatabaseForked" };
    for (const { logs, node } of watched) {
      new MetricFilter(this, node.id, {
        ...metric,
        logGroup: logs,
        filterPattern: FilterPattern.stringValue("$.event.action", "=", FORKED),
        metricValue: "1",
      });
    }
    const alarm = new Alarm(this, "Alarm", {
      alarmName: `${name}: checksum database forked`,
      alarmDescription:
        "A checksum database signed two histories; nothing more of it is published. Runbook: docs/deploy.md, " +
        "Alarms, checksum database forked.",
      metric: new Metric({
        namespace: metric.metricNamespace,
        metricName: metric.metricName,
        statistic: "Sum",
        period: WINDOW,
      }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    tellTopic(alarm, alarms);
  }
}
