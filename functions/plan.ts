import type { Context } from "aws-lambda";
import { z } from "zod";
import { advanceHeads } from "../mirror/advance-heads.ts";
import { completeTilesTick } from "../mirror/complete-tiles.ts";
import { liftStop } from "../mirror/fork-stop.ts";
import { type Ticked, tick } from "../mirror/tick.ts";
import { noteTick } from "../mirror/ticks.ts";
import { resumeUpstream } from "../mirror/upstream-stop.ts";
import { mirrorVulndb } from "../mirror/vulndb.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);

/** The object in the inbox notifies accept-request by itself: accepting it here too would resolve it twice at once. */
const accept = async (): Promise<void> => {};

/** What an operator invokes this function with to lift the stop of a database that forked (docs/deploy.md, Alarms). */
const clearing = z.strictObject({ clearFork: z.string(), by: z.string().min(1).max(200) });

/** … and to have a host's upstreams asked again before the next probe. */
const resuming = z.strictObject({ resumeUpstream: z.string(), by: z.string().min(1).max(200) });

/** A tick of the feed. */
export const handler = (event: unknown, context: Context): Promise<void> =>
  log.call(async () => {
    if (typeof event === "object" && event !== null && "clearFork" in event) {
      const { clearFork, by } = clearing.parse(event);
      const { evidence } = await liftStop(parts, clearFork, by);
      const labels = { database: clearFork, evidence, by };
      log.write({ level: "warn", action: "fork-cleared", message: "checksum database goes on", labels });
    }
    if (typeof event === "object" && event !== null && "resumeUpstream" in event) {
      const { resumeUpstream: host, by } = resuming.parse(event);
      await resumeUpstream(parts, host, by);
      const labels = { host, by };
      log.write({ level: "warn", action: "upstream-resumed", message: "upstream is asked again", labels });
    }
    for (const { database, error } of await advanceHeads(parts, parts.databases))
      log.failure("head-not-advanced", "checksum database has no newer head for us", error, { database });
    await bringVulndb();
    const deadline = deadlineOf(context);
    const ticked = await noteTick(
      parts,
      "plan",
      () => tick(parts, parts.feeds, owner, { deadline, accept }),
      ({ outcome }) => outcome === "skipped",
    );
    if (ticked.outcome === "ticked") noteFeeds(ticked);
    else {
      const labels = ticked.outcome === "paused" ? { ...ticked.pause } : {};
      log.write({ level: "info", action: ticked.outcome, message: "feeds are not read", labels });
    }
    // Last, in the time that is left: until it has ended once, clients do not ask this mirror for proofs.
    for (const { database, error } of await completeTilesTick(parts, parts.databases, owner, deadline)) {
      const message = "tiles of the checksum database are not all held";
      if (error === undefined)
        log.write({ level: "warn", action: "tiles-not-complete", message, labels: { database } });
      else log.failure("tiles-not-complete", message, error, { database });
    }
  });

/** What goes wrong with it holds up nothing else: a policy goes by what is mirrored. */
async function bringVulndb(): Promise<void> {
  if (parts.vulndb === undefined) return;
  try {
    const synced = await mirrorVulndb(parts.tree, parts.vulndb);
    if (synced === undefined) return;
    log.write({
      level: "info",
      action: "vulndb",
      message: "vulnerability database is newer",
      labels: { ...synced },
    });
  } catch (thrown) {
    log.failure("vulndb-not-read", "vulnerability database could not be brought up", thrown);
  }
}

/** A line for each feed, and its figures. */
function noteFeeds({ indexes, poll }: Extract<Ticked, { outcome: "ticked" }>): void {
  for (const { problem, ...read } of indexes) {
    if (problem !== undefined)
      log.failure("feed-not-read", "feed could not be read", problem, { feed: read.feed });
    log.metrics.add("VersionsFound", "Count", read.found);
    log.write({ level: "info", action: "planned", message: "feed is read", labels: { ...read } });
  }
  if (poll === undefined) return;
  for (const { module, message } of poll.failed)
    log.failure("module-not-polled", "module could not be polled", new Error(message), { module });
  log.metrics.add("VersionsFound", "Count", poll.found);
  log.metrics.add("ModulesFailed", "Count", poll.failed.length);
  const labels = { ...poll, failed: poll.failed.length };
  log.write({ level: "info", action: "planned", message: "feed is read", labels });
}
