import { Stack } from "aws-cdk-lib";
import type { Construct } from "constructs";
import { type Configuration, proxySecret, sourceSecrets } from "./configuration.ts";
import { EventAlarm, GARBAGE_STOPPED, SCRUB_FOUND } from "./event-alarm.ts";
import { rateOf, scheduleFunction } from "./function-schedule.ts";
import { ONE_CORE_MIB, SPOOL_MIB, UNIT_OF_WORK } from "./function-sizes.ts";
import { grantLedger, grantSecrets, grantStateIndex, grantTree, grantVault } from "./grants.ts";
import type { MirrorFunction, MirrorFunctionProps } from "./mirror-function.ts";
import { addChecksumJobs, batchRoleArn } from "./scrub-batch.ts";

/** Makes a function of the pipeline. */
export type MakeFunction = (id: string, props: Omit<MirrorFunctionProps, "configuration">) => MirrorFunction;

type ScrubSchedule = NonNullable<Configuration["schedule"]["scrub"]>;

/**
 * What keeps a mirror through the years, each where the configuration has it: snapshots, collection of garbage, scrub.
 * @returns those that ask upstreams.
 */
export function addUpkeep(
  scope: Construct,
  make: MakeFunction,
  configuration: Configuration,
): readonly MirrorFunction[] {
  const { snapshots, garbage, schedule } = configuration;
  if (snapshots !== undefined) addSnapshot(make, configuration, snapshots.every);
  if (garbage.every !== undefined) {
    const collect = addCollect(make, configuration, garbage.every);
    new EventAlarm(scope, "GarbageStoppedAlarm", configuration, GARBAGE_STOPPED, [collect]);
  }
  if (schedule.scrub === undefined) return [];
  const scrub = addScrub(Stack.of(scope), make, configuration, schedule.scrub);
  new EventAlarm(scope, "ScrubFoundAlarm", configuration, SCRUB_FOUND, [scrub]);
  return [scrub];
}

/** Spools the entries, sorted, before it stores them. */
function addSnapshot(make: MakeFunction, configuration: Configuration, every: string): void {
  const snapshot = make("Snapshot", {
    function: "snapshot",
    timeout: UNIT_OF_WORK,
    memoryMiB: ONE_CORE_MIB,
    temporaryMiB: SPOOL_MIB,
  });
  const [vulndb, archive] = configuration.vulndb === undefined ? [[], []] : [["-/vulndb/*"], ["vulndb/*"]];
  // It lists the tiles, and looks whether there is a vulnerability database also where none is configured.
  grantTree(snapshot, { read: ["-/vulndb/index/db.json", ...vulndb] });
  grantVault(snapshot, { read: ["snapshots/*", ...archive], write: ["snapshots/*", ...archive] });
  grantLedger(snapshot, ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "DeleteItem"]);
  grantSecrets(snapshot, sourceSecrets(configuration));
  scheduleFunction(snapshot, rateOf(every));
}

/** Its time is that of a unit of work, by which leases and what is taken out wait (mirror/records.ts). */
function addCollect(make: MakeFunction, configuration: Configuration, every: string): MirrorFunction {
  const collect = make("Collect", {
    function: "collect",
    timeout: UNIT_OF_WORK,
    // Marks of all that is needed are in memory.
    memoryMiB: ONE_CORE_MIB,
  });
  grantTree(collect, {
    read: ["*/@v/*", "*/@latest"],
    write: ["*/@v/list", "*/@latest"],
    remove: ["*/@v/*.info", "*/@v/*.mod", "*/@v/*.zip", "*/@latest"],
  });
  grantVault(collect, {
    read: ["garbage/*", "inbox/requests/*", "requests/*", "snapshots/*"],
    // What an operator has it drop is written down.
    write: ["garbage/*", "decisions/drop-request/*"],
    remove: ["inbox/requests/*", "requests/*", "quarantine/*", "snapshots/*"],
  });
  grantLedger(collect, ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem"]);
  grantStateIndex(collect);
  grantSecrets(collect, proxySecret(configuration));
  scheduleFunction(collect, rateOf(every));
  return collect;
}

/** Reads all there is, level by level, and has mended what is not as it must be. */
function addScrub(
  scope: Stack,
  make: MakeFunction,
  configuration: Configuration,
  { shards, deep, batch, ...daily }: ScrubSchedule,
): MirrorFunction {
  const scrub = make("Scrub", {
    function: "scrub",
    timeout: UNIT_OF_WORK,
    memoryMiB: ONE_CORE_MIB,
    temporaryMiB: SPOOL_MIB,
    ...(batch && { environment: { MODFERRY_BATCH_ROLE: batchRoleArn(scope, configuration.name) } }),
  });
  grantTree(scrub, {
    read: ["*"],
    write: ["sumdb/*", "*/@v/*", "*/@latest"],
    // What is damaged gives way to what is proven.
    remove: ["sumdb/*", "*/@v/*", "*/@latest"],
  });
  grantVault(scrub, { read: ["scrub/*"], write: ["scrub/*", "evidence/*"] });
  grantLedger(scrub, ["GetItem", "BatchGetItem", "Query", "Scan", "PutItem", "UpdateItem", "DeleteItem"]);
  grantSecrets(scrub, sourceSecrets(configuration));
  for (const [level, expression] of Object.entries(daily))
    scheduleFunction(scrub, expression, { name: level, input: { level } });
  const parts = deep === undefined ? 0 : shards;
  for (let part = 1; part <= parts; part++) {
    const input = { level: "deep", shard: `${part}/${parts}` };
    scheduleFunction(scrub, deep ?? "", { name: `deep-${part}`, input });
  }
  if (batch !== undefined) addChecksumJobs(scrub, configuration, { every: batch, shards });
  return scrub;
}
