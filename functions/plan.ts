import type { Context } from "aws-lambda";
import { z } from "zod";
import { advanceHeads } from "../mirror/advance-heads.ts";
import { completeTilesTick } from "../mirror/complete-tiles.ts";
import { type Deadline, partOf } from "../mirror/deadline.ts";
import type { PollRead } from "../mirror/feed-poll.ts";
import { liftStop } from "../mirror/fork-stop.ts";
import { problemOf, type Ticked, tick } from "../mirror/tick.ts";
import { noteTick } from "../mirror/ticks.ts";
import { resumeUpstream } from "../mirror/upstream-stop.ts";
import { mirrorVulndb } from "../mirror/vulndb.ts";
import { withinTime } from "../mirror/within-time.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);

/** The object in the inbox notifies accept-request by itself: accepting it here too would resolve it twice at once. */
const accept = async (): Promise<void> => {};

/** As much of the time is the feeds'; the rest is left for heads, vulnerabilities and tiles, however far behind feeds are. */
const FEEDS_PART = 2 / 3;

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
    const deadline = deadlineOf(context);
    const ticked = await noteTick(
      parts,
      "plan",
      () => tick(parts, parts.feeds, owner, { deadline: partOf(deadline, FEEDS_PART), accept }),
      ({ outcome }) => outcome === "skipped",
      problemOf,
    );
    if (ticked.outcome === "ticked") noteFeeds(ticked);
    else {
      const labels = ticked.outcome === "paused" ? { ...ticked.pause } : {};
      log.write({ level: "info", action: ticked.outcome, message: "feeds are not read", labels });
    }
    await moveHeads(partOf(deadline, 1 / 2));
    await bringVulndb(partOf(deadline, 1 / 2));
    // Last, in the time that is left: until it has ended once, clients do not ask this mirror for proofs.
    for (const { database, error } of await completeTilesTick(parts, parts.databases, owner, deadline)) {
      const message = "tiles of the checksum database are not all held";
      if (error === undefined)
        log.write({ level: "warn", action: "tiles-not-complete", message, labels: { database } });
      else log.failure("tiles-not-complete", message, error, { database });
    }
  });

/** A database that does not answer holds up none of the rest, and no feed. */
async function moveHeads(deadline: Deadline): Promise<void> {
  const message = "checksum database has no newer head for us";
  try {
    const moved = advanceHeads(parts, parts.databases);
    for (const { database, error } of await withinTime(moved, deadline, "checksum databases"))
      log.failure("head-not-advanced", message, error, { database });
  } catch (thrown) {
    log.failure("head-not-advanced", message, thrown);
  }
}

/** What goes wrong with it holds up nothing else: a policy goes by what is mirrored. */
async function bringVulndb(deadline: Deadline): Promise<void> {
  if (parts.vulndb === undefined) return;
  try {
    const { tree, vulndb } = parts;
    const bring = () => withinTime(mirrorVulndb(tree, vulndb), deadline, "vulnerability database");
    const synced = await noteTick(parts, "vulndb", bring);
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
function noteFeeds({ indexes, poll, named }: Extract<Ticked, { outcome: "ticked" }>): void {
  for (const { problem, ...read } of indexes) {
    if (problem !== undefined)
      log.failure("feed-not-read", "feed could not be read", problem, { feed: read.feed });
    log.metrics.add("VersionsFound", "Count", read.found);
    log.write({ level: "info", action: "planned", message: "feed is read", labels: { ...read } });
  }
  for (const polled of [poll, named]) if (polled !== undefined) notePolled(polled);
}

function notePolled(poll: PollRead): void {
  for (const { module, message } of poll.failed)
    log.failure("module-not-polled", "module could not be polled", new Error(message), { module });
  log.metrics.add("VersionsFound", "Count", poll.found);
  log.metrics.add("ModulesFailed", "Count", poll.failed.length);
  const labels = { ...poll, failed: poll.failed.length, failing: poll.failing.length };
  log.write({ level: "info", action: "planned", message: "feed is read", labels });
}
