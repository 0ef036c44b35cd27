import { Duration, Stack, type StackProps } from "aws-cdk-lib";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { type IQueue, Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { workQueueName } from "../adapters/aws/physical-names.ts";
import { addBundles } from "./bundle-functions.ts";
import { type Configuration, proxySecret, sourceSecrets } from "./configuration.ts";
import { DeadLetterAlarm } from "./dead-letter-alarm.ts";
import { ALARMING_EVENTS, EventAlarm } from "./event-alarm.ts";
import { scheduleFunction } from "./function-schedule.ts";
import { ONE_CORE_MIB, SPOOL_MIB, UNIT_OF_WORK } from "./function-sizes.ts";
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
import { addUpkeep } from "./upkeep.ts";

/** SQS asks for six times the function's time-out. */
const WORK_VISIBILITY = Duration.seconds(1800);
/** Orders that one call takes, side by side: they share its time, and what one call is killed at waits for long. */
const ORDERS_PER_CALL = 2;
/** A request may have 64 MB, and is parsed in memory. */
const REQUESTS_PER_CALL = 1;

/** What a block takes out of the tree. */
const TAKEN_OUT = ["*/@v/*.zip", "*/@latest"];
/** What garbage collection takes out besides. */
const COLLECTED = ["*/@v/*.info", "*/@v/*.mod"];

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
    const make = (id: string, props: Omit<MirrorFunctionProps, "configuration">) => this.#function(id, props);
    const upkeep = addUpkeep(this, make, props.configuration);
    addBundles(this, make, props.configuration);
    // The inbox is retained with the storage stack, which makes no alarms.
    new DeadLetterAlarm(this, "inbox-dead-letters", props.configuration, `${this.#names.inboxQueue}-dead`);
    for (const [id, event] of Object.entries(ALARMING_EVENTS))
      new EventAlarm(this, `${id}Alarm`, props.configuration, event, [plan, work, reconcile, ...upkeep]);
  }

  /** Redelivery and the dead-letter queue serve crashes only: what fails is recorded and acknowledged. */
  #workQueue(name: string): Queue {
    const common = {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    };
    const queueName = workQueueName(this.#configuration.name, name);
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
      timeout: UNIT_OF_WORK,
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
    scheduleFunction(plan, this.#configuration.schedule.plan);
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
      timeout: UNIT_OF_WORK,
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
      timeout: UNIT_OF_WORK,
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
      // What a collection has died over, and somebody waits for.
      remove: [...TAKEN_OUT, ...(this.#configuration.garbage.every === undefined ? [] : COLLECTED)],
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
    scheduleFunction(reconcile, this.#configuration.schedule.reconcile);
    return reconcile;
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
}
