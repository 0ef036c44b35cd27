import { setTimeout as sleep } from "node:timers/promises";
import { moduleCacheRequests } from "../adapters/local/module-cache.ts";
import { SyncCounters } from "../adapters/local/prometheus-counters.ts";
import { readWishes } from "../adapters/local/read-wishes.ts";
import { checkWritable, replaceFile } from "../adapters/local/replace-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { readFigures } from "../mirror/figures.ts";
import { collectWhenDue } from "../mirror/garbage/schedule.ts";
import { printMetrics } from "../mirror/metrics-text.ts";
import { noDeadline } from "../mirror/parts.ts";
import type { RequestBody } from "../mirror/requests.ts";
import { takeWhenDue } from "../mirror/snapshot/schedule.ts";
import { newTraceId, withTrace } from "../mirror/trace.ts";
import { CommandLog } from "./command-log.ts";
import { type EmbeddedMirror, openEmbedded } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { garbageLines } from "./garbage-lines.ts";
import { workMeanwhile } from "./meanwhile.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { SyncProgress } from "./progress.ts";
import { refresh } from "./refresh.ts";
import { statusParts } from "./status.ts";
import { acceptWaiting, clearFork, syncRound, workOff } from "./sync-round.ts";
import { syncVulndb } from "./vulndb.ts";

/** Between rounds the inbox is looked into so often, in ms. */
const INBOX_LOOK = 2_000;

/**
 * `modferry sync`: what earlier runs left, then the feeds of a configuration, then the wishes; with `--every` again and
 * again.
 * @returns the exit status: 1 when something asked for is not served, with the table of what and why, or when a checksum
 * database is stopped.
 */
export async function sync(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  if (options.refresh) return await refresh(options, environment, output);
  if (options.fromModcache) {
    const { folder, bodies } = await moduleCacheRequests(options.arguments, environment.variables);
    return await syncRequests(bodies, options.name, { ...options, seed: folder }, environment, output);
  }
  // A stop may be lifted for what waits for it, with no wish of its own; a configuration has wishes.
  const besides =
    options.clearFork !== undefined || options.vulndb !== undefined || options.config !== undefined;
  const hasWishes = options.arguments.length > 0 || !besides;
  const bodies = hasWishes ? [await readWishes(options.arguments, options, output.stdin)] : [];
  return await syncRequests(bodies, options.name, options, environment, output);
}

/** As sync, for requests that are put together already; `name` is what they are handed in under. */
export async function syncRequests(
  bodies: readonly RequestBody[],
  name: string,
  options: Options,
  environment: CliEnvironment,
  terminal: Output,
): Promise<number> {
  const log = options.log === "json" ? new CommandLog(terminal, "sync") : undefined;
  const output = log?.output() ?? terminal;
  // A log has the events themselves, and needs no lines about them.
  const newProgress = () =>
    new SyncProgress(log === undefined ? output : { ...output, error: () => {} }, options.json);
  let progress = newProgress();
  const counters = new SyncCounters();
  if (options.metrics !== undefined) await checkWritable(options.metrics);
  const mirror = await openEmbedded(options, environment, (event) => {
    log?.report(event);
    counters.take(event);
    progress.take(event);
  });
  const endMeanwhile = workMeanwhile(mirror.parts, output);
  try {
    if (options.clearFork !== undefined) await clearFork(mirror, options.clearFork, output);
    for (let isFirst = true; ; isFirst = false) {
      const began = performance.now();
      // First, so that a policy goes by the newest.
      const vulndb = await syncVulndb(mirror, environment, output);
      const round = { bodies: isFirst ? bodies : [], name, isFirst };
      const work = () => syncRound(mirror, round, options, output, progress);
      const problems = await (isFirst ? work() : withTrace(newTraceId(), work)).catch((thrown: unknown) => {
        // A run that goes on may find the disk or the network mended; one that is alone ends with it.
        if (options.every === undefined) throw thrown;
        output.error(`modferry: ${oneLine(asMirrorError(thrown, "sync").message)}`);
        return 1;
      });
      await takeDueSnapshot(mirror, output);
      await collectDue(mirror, output);
      if (isFirst) sayRefusedSeeds(mirror, output);
      if (options.every === undefined) return problems + vulndb === 0 ? 0 : 1;
      if (options.metrics !== undefined) await leaveMetrics(options, options.metrics, mirror.parts, counters);
      progress = newProgress();
      await untilNext(mirror, began + options.every, output);
    }
  } finally {
    await endMeanwhile();
    if (options.metrics !== undefined) await leaveMetrics(options, options.metrics, mirror.parts, counters);
    await mirror.close();
  }
}

/** Works on what others hand in, until it is time. */
async function untilNext(mirror: EmbeddedMirror, at: number, output: Output): Promise<void> {
  for (let left = at - performance.now(); left > 0; left = at - performance.now()) {
    await sleep(Math.min(left, INBOX_LOOK));
    try {
      if (await acceptWaiting(mirror, output)) await workOff(mirror);
    } catch (thrown) {
      output.error(`modferry: ${oneLine(asMirrorError(thrown, "inbox").message)}`);
    }
  }
}

/** One that fails fails nothing else: the next round takes it, and `modferry status` shows the tick. */
async function takeDueSnapshot({ parts, owner, snapshots }: EmbeddedMirror, output: Output): Promise<void> {
  const { settings, spool } = snapshots;
  if (settings === undefined) return;
  try {
    // One machine has one clock.
    const done = await takeWhenDue({ ...parts, spool }, settings, { owner, closedAfter: 0 });
    if (done?.taken.outcome === "taken") output.error(`modferry: snapshot ${done.taken.header.name}`);
    for (const name of done?.expired ?? []) output.error(`modferry: snapshot ${name} has expired`);
  } catch (thrown) {
    output.error(`modferry: ${oneLine(asMirrorError(thrown, "snapshot").message)}`);
  }
}

/** As takeDueSnapshot. Between two rounds nobody else writes the mirror. */
async function collectDue({ parts, owner, garbage, feeds }: EmbeddedMirror, output: Output): Promise<void> {
  if (garbage?.every === undefined || feeds === undefined) return;
  const provable = (path: ModulePath) => parts.databasesFor(path).length > 0;
  const { subscriptions } = feeds;
  const options = { settings: garbage, subscriptions, owner, onlyWriter: true, deadline: noDeadline };
  try {
    const done = await collectWhenDue({ ...parts, provable }, garbage.every, options);
    for (const line of done === undefined ? [] : garbageLines(done, "done"))
      output.error(`modferry: ${oneLine(line)}`);
  } catch (thrown) {
    output.error(`modferry: ${oneLine(asMirrorError(thrown, "gc").message)}`);
  }
}

function sayRefusedSeeds({ seed }: EmbeddedMirror, output: Output): void {
  if (seed === undefined) return;
  const { seed: own, upstream } = seed.counts;
  output.error(`modferry: ${own} files came from the module cache, ${upstream} from upstream`);
}

/** The gauges of the mirror as it is now, and what this run has counted. */
async function leaveMetrics(
  options: Options,
  file: string,
  { ledger }: EmbeddedMirror["parts"],
  counters: SyncCounters,
): Promise<void> {
  const figures = await readFigures(await statusParts(options, ledger));
  await replaceFile(file, Buffer.from(`${printMetrics(figures)}${await counters.text()}`));
}
