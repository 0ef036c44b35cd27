import { hostname, userInfo } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { engineOf } from "../adapters/configuration/engine.ts";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import { WriterBusy } from "../adapters/local/writer-lock.ts";
import { coverage } from "../adapters/upstream/sources.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { misuse } from "../mirror/errors.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import { type Collected, type CollectParts, wouldCollect } from "../mirror/garbage/collect.ts";
import { approveList } from "../mirror/garbage/current-list.ts";
import { dropRequest } from "../mirror/garbage/drops.ts";
import { isRunName } from "../mirror/garbage/garbage-list.ts";
import { collectTick } from "../mirror/garbage/schedule.ts";
import { garbageSettings, garbageShape } from "../mirror/garbage/settings.ts";
import { isFeedName } from "../mirror/orders.ts";
import { noDeadline } from "../mirror/parts.ts";
import type { Ledger } from "../mirror/ports.ts";
import { Subscriptions } from "../mirror/subscription.ts";
import { loadConfiguration } from "./configuration.ts";
import type { CliEnvironment } from "./environment.ts";
import { garbageLines } from "./garbage-lines.ts";
import { jsonLine } from "./json-line.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** Between two batches of deletions, in ms: endpoints beside it read the same disk. */
const REST = 20;

/**
 * `modferry gc`: collects what nothing refers to any more, in several runs; drops requests, and approves lists.
 * @returns the exit status: 1 where a list waits to be approved.
 */
export async function gc(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const { dryRun, drop, approve } = options.garbage;
  if (approve !== undefined && !isRunName(approve))
    throw misuse(approve, `--approve: ${approve}: not a run's name, such as 20260131T235959000Z`);
  const engine = options.config === undefined ? undefined : engineOf(await loadConfiguration(options.config));
  const covering = coverage(
    engine === undefined ? options.sumdbs : sumdbEntries(engine.sumdb),
    engine === undefined ? (options.noSumdb ?? (await environment.gonosumdb())) : engine.noSumdb.join(","),
  );
  if (options.deployed !== undefined && engine === undefined) {
    // What is kept is said by the configuration that it was deployed with, and by nothing that can be asked for.
    if (dryRun || (drop.length === 0 && approve === undefined))
      throw misuse(
        "--config",
        "--config: not given; give the configuration that the mirror is deployed with, or what it keeps would be taken for garbage",
      );
    return await leaveToWriter(options, environment, output);
  }
  let mirror: OpenMirror;
  try {
    mirror = await openMirror(options, environment, { mode: dryRun ? "read" : "write" });
  } catch (thrown) {
    const decides = drop.length > 0 || approve !== undefined;
    if (!(thrown instanceof WriterBusy) || !decides) throw thrown;
    return await leaveToWriter(options, environment, output);
  }
  try {
    const { tree, vault, ledger, queue } = mirror;
    const provable = (path: ModulePath) => covering(path).size > 0;
    const report = (event: MirrorEvent) => sayEvent(event, options, output);
    const parts: CollectParts = {
      tree,
      vault,
      ledger,
      queue,
      provable,
      now: Date.now,
      report,
    };
    if (dryRun && drop.length > 0)
      throw misuse("--drop", "--drop: not with --dry-run, which changes nothing");
    await decide(parts, options, output);
    if (engine === undefined) await refuseWithoutConfiguration(ledger);
    const settings = garbageSettings(engine?.garbage ?? garbageShape.parse({}), engine?.snapshots?.keep);
    const subscriptions = new Subscriptions(engine?.subscriptions ?? []);
    const owner = `${hostname()}:${process.pid}`;
    const run = {
      settings,
      subscriptions,
      owner,
      onlyWriter: !mirror.deployed,
      deadline: noDeadline,
      rest: () => sleep(REST),
    };
    if (dryRun) {
      const would = await wouldCollect(parts, run);
      if (options.json)
        for (const { version, ...line } of would.chosen.versions)
          output.print(
            jsonLine({ event: "surplus", version: `${version.path}@${version.version}`, ...line }),
          );
      const { chosen: _chosen, ...rest } = would;
      return say({ ...rest, outcome: "ran" }, "would", options, output);
    }
    return say(await collectTick(parts, run), "done", options, output);
  } finally {
    await mirror.close();
  }
}

/** What an operator has decided counts from the next run on, whoever does it. */
async function decide(
  parts: Pick<CollectParts, "vault" | "ledger" | "now">,
  { garbage: { drop, approve }, by: given, json }: Options,
  output: Output,
): Promise<void> {
  const by = given ?? `${userInfo().username}@${hostname()}`;
  for (const name of drop) {
    const { at } = await dropRequest(parts, name, by);
    if (json) output.print(jsonLine({ event: "dropped", request: name, by, at }));
    else output.error(`modferry: ${name}: dropped; nothing is kept for it any more`);
  }
  if (approve !== undefined) await approveList(parts.ledger, approve, by);
}

async function leaveToWriter(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const { vault, ledger, close } = await openMirror(options, environment, { mode: "beside" });
  try {
    await decide({ vault, ledger, now: Date.now }, options, output);
  } finally {
    await close();
  }
  if (!options.json)
    output.error(
      options.deployed === undefined
        ? "modferry: who is writing the mirror collects by its configuration's garbage.every"
        : "modferry: its function collects by its configuration's garbage.every; with --config this run does",
    );
  return 0;
}

/** What feeds have brought is only kept for the subscriptions of a configuration. */
async function refuseWithoutConfiguration(ledger: Pick<Ledger, "requests">): Promise<void> {
  for await (const { name } of ledger.requests())
    if (isFeedName(name))
      throw misuse(
        "--config",
        "--config: this mirror has read feeds; give its configuration, or all that its subscriptions keep would be taken for garbage",
      );
}

function say(collected: Collected, what: "would" | "done", options: Options, output: Output): number {
  if (options.json)
    output.print(jsonLine({ event: what === "done" ? "collected" : "would-collect", ...collected }));
  else for (const line of garbageLines(collected, what)) output.error(`modferry: ${oneLine(line)}`);
  const { list } = collected;
  return list?.stopped === true && list.approved === undefined && what === "done" ? 1 : 0;
}

function sayEvent(event: MirrorEvent, options: Options, output: Output): void {
  if (event.event !== "removing" && event.event !== "collected") return;
  const version = `${event.version.path}@${event.version.version}`;
  if (options.json) output.print(jsonLine({ ...event, version }));
  else output.status?.(`${event.event} ${version}`);
}
