import { Duration, Stack } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler";
import type { MirrorFunction } from "./mirror-function.ts";

/** One of several schedules of a function. */
export interface NamedSchedule {
  /** What sets it apart. */
  readonly name: string;
  /** What the function is told. */
  readonly input: Readonly<Record<string, string>>;
}

/**
 * Has a function called again and again. No retries: a tick that is lost is followed by the next, and one that overlaps
 * finds the lease taken.
 * @param expression as EventBridge Scheduler has it.
 */
export function scheduleFunction(target: MirrorFunction, expression: string, of?: NamedSchedule): void {
  const { functionArn, functionName } = target.function;
  new CfnSchedule(target, of === undefined ? "Schedule" : `Schedule-${of.name}`, {
    name: of === undefined ? functionName : `${functionName}-${of.name}`,
    scheduleExpression: expression,
    flexibleTimeWindow: { mode: "OFF" },
    target: {
      arn: functionArn,
      roleArn: scheduleRole(target).roleArn,
      ...(of && { input: JSON.stringify(of.input) }),
      retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
    },
  });
}

/** What a function's schedules invoke it with; made with the first of them. */
function scheduleRole(target: MirrorFunction): Role {
  const made = target.node.tryFindChild("ScheduleRole");
  if (made instanceof Role) return made;
  const role = new Role(target, "ScheduleRole", {
    // Amazon EventBridge Scheduler, Confused deputy prevention.
    assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
      conditions: { StringEquals: { "aws:SourceAccount": Stack.of(target).account } },
    }),
  });
  role.addToPolicy(
    new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [target.function.functionArn] }),
  );
  target.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.seconds(60) });
  return role;
}

const RATES = { m: "minute", h: "hour", d: "day" } as const;

/** Of `36h`, as EventBridge Scheduler has it: singular for 1. */
export function rateOf(duration: string): string {
  const count = Number(duration.slice(0, -1));
  const unit = RATES[duration.slice(-1) as keyof typeof RATES];
  return `rate(${count} ${unit}${count === 1 ? "" : "s"})`;
}
