import { Duration } from "aws-cdk-lib";
import { Alarm, ComparisonOperator, Metric, TreatMissingData } from "aws-cdk-lib/aws-cloudwatch";
import { FilterPattern, type IFilterPattern, MetricFilter } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { MirrorEvent } from "../mirror/events.ts";
import type { State } from "../mirror/records.ts";
import { tellTopic } from "./alarm-topic.ts";
import type { Configuration } from "./configuration.ts";
import type { MirrorFunction } from "./mirror-function.ts";

/**
 * Each tick of reconcile says again what is stopped; an hour holds several of any sensible schedule, so that the alarm
 * does not go off and on between them. It ends within an hour after the stop is lifted, or after a conflict was found.
 */
const WINDOW = Duration.hours(1);

/** Of what runs once a day. */
const DAILY = Duration.days(1);

/** Something that a function has logged (mirror/event-log.ts), and that a person has to look at. */
export interface AlarmingEvent {
  readonly pattern: IFilterPattern;
  readonly metricName: string;
  /** After the mirror's name. */
  readonly title: string;
  /** What it means; the runbook is docs/deploy.md, Alarms, under the title. */
  readonly meaning: string;
  /** How long the alarm stays after it was logged; left out: an hour. */
  readonly window?: Duration;
}

/** What functions/scrub.ts logs of each finding. */
const SCRUB_FINDING = "scrub-finding";
/** What functions/import.ts logs of each. */
const BUNDLE_REFUSED_ACTION = "bundle-refused";

/** The line's `event.action`: a name that the engine has, or a function. */
const actionIs = (action: MirrorEvent["event"] | typeof SCRUB_FINDING | typeof BUNDLE_REFUSED_ACTION) =>
  FilterPattern.stringValue("$.event.action", "=", action);
const stateIs = (state: State) => FilterPattern.stringValue("$.labels.state", "=", state);

export const ALARMING_EVENTS: Readonly<Record<"Fork" | "UpstreamStopped" | "Conflict", AlarmingEvent>> = {
  Fork: {
    pattern: actionIs("forked"),
    metricName: "ChecksumDatabaseForked",
    title: "checksum database forked",
    meaning: "A checksum database signed two histories; nothing more of it is published.",
  },
  UpstreamStopped: {
    pattern: actionIs("upstream-stopped"),
    metricName: "UpstreamStopped",
    title: "upstream refuses us",
    meaning: "An upstream refuses our credentials, or everything; it is asked for nothing but a probe.",
  },
  Conflict: {
    pattern: FilterPattern.all(actionIs("failed"), stateIs("CONFLICT")),
    metricName: "VersionsInConflict",
    title: "version in conflict",
    meaning: "What upstream sent is not what the checksum database says; it is not served.",
  },
};

/** The list waits until somebody approves it: each run says so again. Of the function collect. */
export const GARBAGE_STOPPED: AlarmingEvent = {
  pattern: actionIs("garbage-stopped"),
  metricName: "GarbageStopped",
  title: "garbage collection stopped",
  meaning: "A run would collect more than the largest share; nothing is collected until a person has looked.",
  window: DAILY,
};

/** Also of what is mended: a store that loses files is worth a look. Of the function scrub. */
export const SCRUB_FOUND: AlarmingEvent = {
  pattern: actionIs(SCRUB_FINDING),
  metricName: "ScrubFound",
  title: "scrub found something",
  meaning: "Tree and ledger did not agree, or a stored file was not what it was; what could be mended is.",
  window: DAILY,
};

/** It lies in the inbox until somebody has looked: told once, when it was refused. Of the function import. */
export const BUNDLE_REFUSED: AlarmingEvent = {
  pattern: actionIs(BUNDLE_REFUSED_ACTION),
  metricName: "BundlesRefused",
  title: "bundle refused",
  meaning: "A bundle in the inbox was refused, or one before it is missing; the mirror is as it was.",
  window: DAILY,
};

/** Goes off when a function has logged such an event. */
export class EventAlarm extends Construct {
  /** @param watched the functions that may find it. */
  constructor(
    scope: Construct,
    id: string,
    { name, alarms }: Pick<Configuration, "name" | "alarms">,
    { pattern, metricName, title, meaning, window = WINDOW }: AlarmingEvent,
    watched: readonly MirrorFunction[],
  ) {
    super(scope, id);
    const metricNamespace = `modferry/${name}`;
    for (const { logs, node } of watched) {
      new MetricFilter(this, node.id, {
        metricNamespace,
        metricName,
        logGroup: logs,
        filterPattern: pattern,
        metricValue: "1",
      });
    }
    const alarm = new Alarm(this, "Alarm", {
      alarmName: `${name}: ${title}`,
      alarmDescription: `${meaning} Runbook: docs/deploy.md, Alarms, ${title}.`,
      metric: new Metric({ namespace: metricNamespace, metricName, statistic: "Sum", period: window }),
      threshold: 1,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    tellTopic(alarm, alarms);
  }
}
