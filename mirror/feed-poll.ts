import pLimit from "p-limit";
import { stampOf } from "../gomod/index-stamp.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { TOOLCHAIN_MODULE } from "../gomod/toolchain-version.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError, type ErrorClass } from "./errors.ts";
import type { FeedTick } from "./feed.ts";
import { parseCursor, printCursor } from "./feed-cursor.ts";
import { handInRoots, newRoots } from "./feed-roots.ts";
import { type PollSchedule, readSchedule } from "./feed-schedule.ts";
import { forgetDoneWork } from "./feed-work.ts";
import type { Watermark } from "./ledger-entries.ts";
import { POLL_FEED } from "./orders.ts";
import { type Listed, readList, selectPolled } from "./poll-list.ts";
import { withinTime } from "./within-time.ts";

/** Modules that are asked at a time: one that hangs holds none of the others. */
const MODULES_AT_ONCE = 8;
/** Modules that one tick asks at most where the configuration does not say. */
export const POLLS_PER_TICK = 500;

export interface PollFailure {
  readonly module: ModulePath;
  readonly class: ErrorClass;
  readonly message: string;
}

/** What one tick of the poll feed did. */
export interface PollRead {
  /** Modules asked, and new roots handed in. */
  readonly asked: number;
  readonly found: number;
  /** Modules of which more is wanted once the go.mod of their highest version is held: the next tick asks them again. */
  readonly later: number;
  readonly failed: readonly PollFailure[];
  /** Modules that fail, in this tick or since an earlier one; not those that upstream has had nothing of for two days. */
  readonly failing: readonly ModulePath[];
  /** Modules whose time had come and that there was no time or budget for; the next tick begins with them. */
  readonly unreached: number;
}

/**
 * One tick of the poll feed, for upstreams without an index: asks the lists of modules whose time has come (those that
 * changed lately each tick, quiet ones down to once a day), hands in what is new, and at last moves the watermark: to
 * the earliest last answer of those that are due still, or fail; back, where one fails that was asked long ago. Asked are
 * the modules that subscriptions name outright, those of the ledger that a pattern matches, and golang.org/toolchain where
 * toolchains are subscribed to.
 */
export async function readPollFeed(tick: FeedTick, perTick = POLLS_PER_TICK): Promise<PollRead> {
  const { parts, subscriptions, deadline } = tick;
  const now = parts.now();
  const schedule = await readSchedule(parts.vault);
  const watermark = await parts.ledger.readWatermark(POLL_FEED);
  // Where the schedule is lost, nobody knows since when which of them does not answer: not before the watermark.
  const knownBy = schedule.isEmpty() && watermark !== undefined ? Date.parse(watermark.timestamp) : now;
  const wanted = (path: ModulePath) =>
    path === TOOLCHAIN_MODULE ? subscriptions.toolchains.length > 0 : subscriptions.of(path) !== undefined;
  schedule.keep(wanted);
  for (const path of subscriptions.exactPaths()) schedule.add(path, knownBy);
  if (subscriptions.toolchains.length > 0) schedule.add(TOOLCHAIN_MODULE, knownBy);
  const due = schedule.due(schedule.known(), now);
  const chosen = due.slice(0, perTick);
  const result = await pollModules(tick, chosen, now, schedule);
  const unreached = result.unreached.length + due.length - chosen.length;
  // Slow lists: the lease may have run out, and another tick be at the same modules.
  if (await tick.keepLease()) await moveWatermark(tick, watermark, schedule, now);
  if (schedule.wantsSweep(now) && deadline.remaining() > TIME_TO_CLOSE)
    await sweep(tick, schedule, wanted, now);
  // Last: a crash before it only has the same modules asked again.
  await schedule.write(parts.vault);
  return {
    asked: chosen.length - result.unreached.length,
    found: result.found,
    later: result.partly.length,
    failed: result.failed,
    failing: schedule.awaited(),
    unreached,
  };
}

/** What asking some modules brought. */
export interface PolledModules {
  readonly found: number;
  readonly failed: PollFailure[];
  readonly unreached: ModulePath[];
  /** Of these more is wanted as soon as their highest versions are held. */
  readonly partly: ModulePath[];
}

/** Asks these modules, some at a time. A module that fails is in `failed` and holds none of the others. */
export async function pollModules(
  tick: FeedTick,
  modules: readonly ModulePath[],
  now: number,
  schedule: PollSchedule,
  feed: { readonly feed: string; readonly name: string } = { feed: POLL_FEED, name: POLL_FEED },
): Promise<PolledModules> {
  const { parts, deadline, accept } = tick;
  const limit = pLimit(MODULES_AT_ONCE);
  const oneAtATime = pLimit(1);
  const failed: PollFailure[] = [];
  const unreached: ModulePath[] = [];
  const partly: ModulePath[] = [];
  let found = 0;
  const poll = async (module: ModulePath) => {
    if (deadline.remaining() < TIME_TO_CLOSE) {
      unreached.push(module);
      return;
    }
    let listed: Listed;
    try {
      listed = await withinTime(readList(parts, module), deadline, module);
    } catch (thrown) {
      const { class: errorClass, message } = asMirrorError(thrown, module);
      failed.push({ module, class: errorClass, message });
      schedule.failed(
        module,
        now,
        errorClass === "absent" || errorClass === "withheld" ? "absent" : "lasting",
      );
      return;
    }
    const { roots, latest, isPart } = await selectPolled(tick, module, listed, stampOf(now));
    const open = await newRoots(parts, roots, feed.feed);
    // One request after the other: two of a name in one millisecond would be one.
    await oneAtATime(() => handInRoots(parts, open, latest, { ...feed, accept }));
    found += open.length;
    if (isPart) partly.push(module);
    schedule.asked(module, now, open.length > 0 || isPart ? now : changedAt(listed, now));
  };
  const polls = await Promise.allSettled(modules.map((module) => limit(() => poll(module))));
  // A store that does not answer is no module's fault: the watermark stays where all below it is recorded.
  for (const result of polls) if (result.status === "rejected") throw result.reason;
  return { found, failed, unreached, partly };
}

/** The newest of a list's own times; without any, a module counts as changed when it was found to be. */
function changedAt({ times }: Listed, now: number): number | undefined {
  let newest: number | undefined;
  for (const text of times.values()) {
    const time = Date.parse(text);
    if (!Number.isNaN(time) && time <= now && time > (newest ?? 0)) newest = time;
  }
  return newest;
}

async function moveWatermark(
  { parts }: FeedTick,
  watermark: Watermark | undefined,
  schedule: PollSchedule,
  now: number,
): Promise<void> {
  // Until each has answered once, this feed has never been read to its end.
  if (watermark === undefined && schedule.unanswered().length > 0) return;
  const checked = schedule.knownUntil(now);
  const { forgot: before } = parseCursor(watermark?.cursor);
  const forgot = await forgetDoneWork(parts.ledger, POLL_FEED, now, before);
  // `changed`: another tick was as far; what it has recorded counts as much.
  await parts.ledger.moveWatermark({
    feed: POLL_FEED,
    timestamp: stampOf(checked),
    cursor: printCursor({ forgot, checked, failing: schedule.failing().length }),
    revision: watermark?.revision ?? 0,
  });
}

/** Finds modules that came into the ledger by other ways and that a pattern matches: once a day, as far as time allows. */
async function sweep(
  { parts, deadline }: FeedTick,
  schedule: PollSchedule,
  wanted: (path: ModulePath) => boolean,
  now: number,
): Promise<void> {
  for await (const { path, wanted: extent } of parts.ledger.records()) {
    if (deadline.remaining() < TIME_TO_CLOSE) return;
    if (extent === "whole" && wanted(path)) schedule.add(path, now);
  }
  schedule.swept(now);
}
