import { Stack } from "aws-cdk-lib";
import type { Alarm } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { type ITopic, Topic } from "aws-cdk-lib/aws-sns";
import type { Configuration } from "./configuration.ts";

/** The configuration's topic is told when an alarm goes off, and when it ends; without a topic nobody is. */
export function tellTopic(alarm: Alarm, { topicArn }: Configuration["alarms"]): void {
  if (topicArn === undefined) return;
  const stack = Stack.of(alarm);
  const known = stack.node.tryFindChild("AlarmTopic") as ITopic | undefined;
  const action = new SnsAction(known ?? Topic.fromTopicArn(stack, "AlarmTopic", topicArn));
  alarm.addAlarmAction(action);
  alarm.addOkAction(action);
}
