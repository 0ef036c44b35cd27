import { Stack } from "aws-cdk-lib";
import { SqsEventSource } from "aws-cdk-lib/aws-lambda-event-sources";
import { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { INBOX_PREFIX } from "../adapters/aws/bundle-inbox.ts";
import { ANSWERS, TAKEN_BACK } from "../mirror/bundle/inbox-answers.ts";
import { type Configuration, proxySecret } from "./configuration.ts";
import { DeadLetterAlarm } from "./dead-letter-alarm.ts";
import { BUNDLE_REFUSED, EventAlarm } from "./event-alarm.ts";
import { BUNDLE_SPOOL_MIB, ONE_CORE_MIB, UNIT_OF_WORK } from "./function-sizes.ts";
import { grantBundles, grantLedger, grantSecrets, grantStateIndex, grantTree, grantVault } from "./grants.ts";
import type { MirrorFunction } from "./mirror-function.ts";
import { Names } from "./names.ts";
import type { MakeFunction } from "./upkeep.ts";

/** A disc's files come side by side; one look at the inbox sees them all. */
const MESSAGES_PER_CALL = 10;
/** SQS's least. One works, the other finds the lease taken. */
const CALLS_AT_ONCE = 2;

/** What a deployed mirror does with bundles, where the configuration has it. */
export function addBundles(scope: Construct, make: MakeFunction, configuration: Configuration): void {
  if (configuration.bundles?.inbox !== true) return;
  const imports = addImport(scope, make, configuration);
  new EventAlarm(scope, "BundleRefusedAlarm", configuration, BUNDLE_REFUSED, [imports]);
  const { bundleQueue } = new Names(configuration, Stack.of(scope));
  new DeadLetterAlarm(scope, "bundles-dead-letters", configuration, `${bundleQueue}-dead`);
}

/** Its time is that of a unit of work: what it has no time for it leaves to the next call, which it orders itself. */
function addImport(scope: Construct, make: MakeFunction, configuration: Configuration): MirrorFunction {
  const names = new Names(configuration, Stack.of(scope));
  const queue = Queue.fromQueueArn(scope, "BundlesInbox", names.arn("sqs", names.bundleQueue));
  const imports = make("Import", {
    function: "import",
    timeout: UNIT_OF_WORK,
    memoryMiB: ONE_CORE_MIB,
    temporaryMiB: BUNDLE_SPOOL_MIB,
    feedsItself: true,
    environment: {
      MODFERRY_BUNDLE_BUCKET: names.bundleBucket,
      MODFERRY_BUNDLE_QUEUE_URL: queue.queueUrl,
    },
  });
  grantBundles(imports, {
    read: [`${INBOX_PREFIX}*`],
    // What is said of a bundle, beside it; the bundle itself is never touched.
    write: [...ANSWERS].map((name) => `${INBOX_PREFIX}*${name}`),
    remove: TAKEN_BACK.map((name) => `${INBOX_PREFIX}*${name}`),
  });
  grantTree(imports, {
    read: ["*"],
    write: ["sumdb/*", "*/@v/*", "*/@latest", "-/vulndb/*"],
    // What comes blocked.
    remove: ["*/@v/*.zip", "*/@latest"],
  });
  grantVault(imports, {
    read: ["bundles/*", "snapshots/*", "vulndb/*", "quarantine/*"],
    write: ["bundles/*", "snapshots/*", "vulndb/*", "quarantine/*", "decisions/block/*"],
    remove: ["bundles/*"],
  });
  grantLedger(imports, ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem"]);
  grantStateIndex(imports);
  grantSecrets(imports, proxySecret(configuration));
  const { signer } = configuration.bundles ?? {};
  if (signer !== undefined) imports.grant(["kms:GetPublicKey", "kms:Sign"], [signer.key]);
  imports.grant(["sqs:SendMessage"], [queue.queueArn]);
  imports.grant(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [queue.queueArn]);
  imports.function.addEventSource(
    new SqsEventSource(queue, { batchSize: MESSAGES_PER_CALL, maxConcurrency: CALLS_AT_ONCE }),
  );
  return imports;
}
