import { Duration, Stack, type StackProps } from "aws-cdk-lib";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { CfnSchedule } from "aws-cdk-lib/aws-scheduler";
import { type IQueue, Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { type Configuration, proxySecret, sourceSecrets } from "./configuration.ts";
import { DeadLetterAlarm } from "./dead-letter-alarm.ts";
import { ALARMING_EVENTS, EventAlarm } from "./event-alarm.ts";
import {
  grantDueIndex,
  grantLedger,
  grantSecrets,
  grantStateIndex,
  grantTree,
  grantVault,
} from "./grants.ts";
import { MirrorFunction, type MirrorFunctionProps } from "./mirror-function.ts";
import { Names } from "./names.ts";

/** One unit of work (docs/architecture.md, Errors). */
const WORK_TIMEOUT = Duration.seconds(300);
/** SQS asks for six times the function's time-out. */
const WORK_VISIBILITY = Duration.seconds(1800);
/** Orders that one call takes, side by side: they share its time, and what one call is killed at waits for long. */
const ORDERS_PER_CALL = 2;
/** A request may have 64 MB, and is parsed in memory. */
const REQUESTS_PER_CALL = 1;
/** The memory at which Lambda gives a whole core (AWS Lambda, Configure memory). */
const ONE_CORE_MIB = 1769;
/** Room for the spooled zips of 500 MB that functions/spool-budget.ts lets in at once. */
const SPOOL_MIB = 2048;

/** What a block takes out of the tree. */
const TAKEN_OUT = ["*/@v/*.zip", "*/@latest"];

/** What finds, proves and publishes: queues, functions, schedules. Can be deleted and deployed again at any time. */
export class PipelineStack extends Stack {
  readonly #configuration: Configuration;
  readonly #names: Names;
  readonly #fresh: Queue;
  readonly #backfill: Queue;

  constructor(scope: Construct, id: string, props: StackProps & { readonly configuration: Configuration }) {
    super(scope, id, props);
    this.#configuration = props.configuration;
    this.#names = new Names(props.configuration, this);
    this.#fresh = this.#workQueue("fresh");
    this.#backfill = this.#workQueue("backfill");
    const plan = this.#plan();
    this.#acceptRequest();
    const work = this.#work();
    const reconcile = this.#reconcile();
    if (props.configuration.snapshots !== undefined) this.#snapshot(props.configuration.snapshots.every);
    // The inbox is retained with the storage stack, which makes no alarms.
    new DeadLetterAlarm(this, "inbox-dead-letters", props.configuration, `${this.#names.inboxQueue}-dead`);
    for (const [id, event] of Object.entries(ALARMING_EVENTS))
      new EventAlarm(this, `${id}Alarm`, props.configuration, event, [plan, work, reconcile]);
  }

  /** Redelivery and the dead-letter queue serve crashes only: what fails is recorded and acknowledged. */
  #workQueue(name: string): Queue {
    const common = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    };
    const queueName = `${this.#configuration.name}-${name}`;
    const dead = new Queue(this, `${name}-dead`, { ...common, queueName: `${queueName}-dead` });
    new DeadLetterAlarm(this, `${name}-dead-letters`, this.#configuration, `${queueName}-dead`);
    return new Queue(this, name, {
      ...common,
      queueName,
      visibilityTimeout: WORK_VISIBILITY,
      deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
    });
  }

  #function(id: string, props: Omit<MirrorFunctionProps, "configuration">): MirrorFunction {
    const made = new MirrorFunction(this, id, {
      ...props,
      configuration: this.#configuration,
      environment: {
        MODFERRY_FRESH_QUEUE_URL: this.#fresh.queueUrl,
        MODFERRY_BACKFILL_QUEUE_URL: this.#backfill.queueUrl,
        ...props.environment,
      },
    });
    return made;
  }

  /** Hands in what is new as objects in the inbox, and moves the checksum databases' heads on. */
  #plan(): MirrorFunction {
    const plan = this.#function("Plan", {
      function: "plan",
      timeout: WORK_TIMEOUT,
      memoryMiB: 512,
    });
    const vulndb = this.#configuration.vulndb === undefined ? [] : ["-/vulndb/*"];
    grantSecrets(plan, sourceSecrets(this.#configuration));
    // What a module's highest version says of retractions.
    const skips = this.#configuration.subscriptions.some(
      (of) => "retracted" in of && of.retracted === "skip",
    );
    const goMods = skips ? ["*/@v/*.mod"] : [];
    grantTree(plan, { read: ["sumdb/*", ...vulndb, ...goMods], write: ["sumdb/*", ...vulndb] });
    // When each module was last asked, and what waits for another version's go.mod.
    const feeds = ["feeds/*"];
    // Which modules a pattern names, among all records, once a day.
    const polls = this.#configuration.feeds.poll !== undefined;
    grantVault(plan, {
      read: ["inbox/requests/*", ...feeds],
      write: [
        "inbox/requests/*",
        "evidence/fork/*",
        "decisions/clear-fork/*",
        "decisions/resume-upstream/*",
        ...feeds,
      ],
    });
    grantLedger(plan, [
      "GetItem",
      "BatchGetItem",
      "Query",
      ...(polls ? (["Scan"] as const) : []),
      "PutItem",
      "UpdateItem",
      "DeleteItem",
    ]);
    this.#schedule(plan, this.#configuration.schedule.plan);
    return plan;
  }

  #acceptRequest(): void {
    const accept = this.#function("AcceptRequest", {
      function: "accept-request",
      timeout: Duration.seconds(60),
      memoryMiB: 512,
    });
    grantSecrets(accept, proxySecret(this.#configuration));
    grantVault(accept, { read: ["inbox/requests/*"] });
    grantLedger(accept, ["GetItem", "PutItem"]);
    this.#grantSend(accept);
    const inbox = Queue.fromQueueArn(this, "Inbox", this.#names.arn("sqs", this.#names.inboxQueue));
    this.#feed(accept, inbox, REQUESTS_PER_CALL, 2);
  }

  #work(): MirrorFunction {
    const work = this.#function("Work", {
      function: "work",
      timeout: WORK_TIMEOUT,
      memoryMiB: ONE_CORE_MIB,
      temporaryMiB: SPOOL_MIB,
      feedsItself: true,
    });
    grantSecrets(work, sourceSecrets(this.#configuration));
    // The vulnerability database is plan's to write.
    grantTree(work, { read: ["*"], write: ["sumdb/*", "*/@v/*", "*/@latest"], remove: TAKEN_OUT });
    grantVault(work, {
      read: ["inbox/requests/*", "requests/*"],
      write: ["requests/*", "evidence/*", "quarantine/*"],
    });
    grantLedger(work, [
      "GetItem",
      "BatchGetItem",
      "Query",
      "PutItem",
      "UpdateItem",
      "DeleteItem",
      "BatchWriteItem",
    ]);
    this.#grantSend(work);
    for (const queue of [this.#fresh, this.#backfill])
      this.#feed(work, queue, ORDERS_PER_CALL, this.#configuration.limits.workers);
    return work;
  }

  #reconcile(): MirrorFunction {
    const reconcile = this.#function("Reconcile", {
      function: "reconcile",
      timeout: WORK_TIMEOUT,
      // A zip goes into quarantine as a whole.
      memoryMiB: ONE_CORE_MIB,
    });
    // A policy that goes by known vulnerabilities is gone by anew when these are others.
    const goesByVulnerabilities =
      this.#configuration.policy.vulnerabilities === undefined ? [] : ["-/vulndb/*"];
    // It settles requests whose last order was lost, and so publishes lists.
    grantTree(reconcile, {
      read: ["*/@v/*", "*/@latest", "sumdb/*/lookup/*", ...goesByVulnerabilities],
      // An operator's unblock brings zips back.
      write: ["*/@v/list", "*/@latest", "*/@v/*.zip"],
      remove: TAKEN_OUT,
    });
    grantVault(reconcile, {
      read: ["inbox/requests/*", "requests/*", "quarantine/*"],
      write: ["quarantine/*", "decisions/block/*"],
    });
    grantLedger(reconcile, [
      "GetItem",
      "BatchGetItem",
      "Query",
      // A pattern that is blocked names any of all records.
      "Scan",
      "PutItem",
      "UpdateItem",
      "DeleteItem",
      "BatchWriteItem",
    ]);
    grantSecrets(reconcile, proxySecret(this.#configuration));
    grantDueIndex(reconcile);
    grantStateIndex(reconcile);
    this.#grantSend(reconcile);
    this.#schedule(reconcile, this.#configuration.schedule.reconcile);
    return reconcile;
  }

  /** Spools the entries, sorted, before it stores them. */
  #snapshot(every: string): void {
    const snapshot = this.#function("Snapshot", {
      function: "snapshot",
      timeout: WORK_TIMEOUT,
      memoryMiB: ONE_CORE_MIB,
      temporaryMiB: SPOOL_MIB,
    });
    const [vulndb, archive] =
      this.#configuration.vulndb === undefined ? [[], []] : [["-/vulndb/*"], ["vulndb/*"]];
    // It lists the tiles, and looks whether there is a vulnerability database also where none is configured.
    grantTree(snapshot, { read: ["-/vulndb/index/db.json", ...vulndb] });
    grantVault(snapshot, { read: ["snapshots/*", ...archive], write: ["snapshots/*", ...archive] });
    grantLedger(snapshot, ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "DeleteItem"]);
    grantSecrets(snapshot, sourceSecrets(this.#configuration));
    this.#schedule(snapshot, rateOf(every));
  }

  #grantSend(to: MirrorFunction): void {
    to.grant(["sqs:SendMessage"], [this.#fresh.queueArn, this.#backfill.queueArn]);
  }

  #feed(to: MirrorFunction, queue: IQueue, batchSize: number, maxConcurrency: number): void {
    to.grant(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [queue.queueArn]);
    to.function.addEventSource(
      new SqsEventSource(queue, {
        batchSize,
        reportBatchItemFailures: true,
        maxConcurrency,
      }),
    );
  }

  /** No retries: a tick that is lost is followed by the next, and one that overlaps finds the lease taken. */
  #schedule(target: MirrorFunction, expression: string): void {
    const role = new Role(target, "ScheduleRole", {
      // Amazon EventBridge Scheduler, Confused deputy prevention.
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": this.account } },
      }),
    });
    role.addToPolicy(
      new PolicyStatement({ actions: ["lambda:InvokeFunction"], resources: [target.function.functionArn] }),
    );
    new CfnSchedule(target, "Schedule", {
      name: target.function.functionName,
      scheduleExpression: expression,
      flexibleTimeWindow: { mode: "OFF" },
      target: {
        arn: target.function.functionArn,
        roleArn: role.roleArn,
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
      },
    });
    target.function.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.seconds(60) });
  }
}

const RATES = { m: "minute", h: "hour", d: "day" } as const;

/** Of `36h`, as EventBridge Scheduler has it: singular for 1. */
function rateOf(duration: string): string {
  const count = Number(duration.slice(0, -1));
  const unit = RATES[duration.slice(-1) as keyof typeof RATES];
  return `rate(${count} ${unit}${count === 1 ? "" : "s"})`;
}
