import { BROKEN_AFTER, BROKEN_AFTER_ATTEMPTS, HOST_BROKEN_AFTER } from "./failed-record.ts";
import type { Ledger } from "./ports.ts";
import { type FeedWindow, ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";

/** The length of `2026-01-31T23`. */
const HOUR_LENGTH = 13;

/** `2026-01-31T23`: the windows in which a ledger counts a feed's open work. */
export function windowOf(stamp: string): string {
  return stamp.slice(0, HOUR_LENGTH);
}

/** The window of a moment, in ms since the epoch. */
export function windowAt(ms: number): string {
  return windowOf(new Date(ms).toISOString());
}

/** What a feed has HELD is counted beside its open work, under this name and by its own windows. */
export function heldOf(feed: string): string {
  return `held/${feed}`;
}

/** `2026-02-07T23/2026-01-31T22`: the UTC hour in which the time of what is HELD is over, and that of the feed's stamp. */
function heldWindow(due: number, feedTime: string): string {
  return `${windowAt(due)}/${windowOf(feedTime)}`;
}

/** The hour of the feed's stamp. */
export function windowOfHeld(window: string): string {
  return window.slice(HOUR_LENGTH + 1);
}

/**
 * The window of a feed that cannot be complete while this record is as it is: it is being worked on, or is to be tried
 * again soon, or is held and waits to be listed with its closure. What is HELD is counted by when its time is over: until
 * then it holds nothing back. Nor does what is DENIED or BLOCKED, or has failed for good as far as we can tell.
 */
export function openWindow(record: VersionRecord | undefined): FeedWindow | undefined {
  const { feed, feedTime } = record ?? {};
  if (record === undefined || feed === undefined || feedTime === undefined) return undefined;
  if (record.state === "HELD" && record.due !== undefined)
    return { feed: heldOf(feed), window: heldWindow(record.due, feedTime) };
  const isUnlisted = record.state === "READY" && record.awaited === true && !record.listed;
  return isUnlisted || isAtWork(record) ? { feed, window: windowOf(feedTime) } : undefined;
}

/**
 * Whether somebody is at work on a version, or will be soon: PENDING or FAILED, but not one more try of what was given up
 * (BROKEN, GONE, WITHHELD), or each of these would hold its feed back again and again.
 */
export function isAtWork(record: VersionRecord): boolean {
  if (record.state === "PENDING") return !wasGivenUp(record);
  return record.state === "FAILED";
}

/** Of what is PENDING: whether it had failed for good when it was ordered (failed-record.ts says from when on that is). */
function wasGivenUp({ lastError, attempts, failingSince, due }: VersionRecord): boolean {
  if (lastError === undefined || failingSince === undefined || lastError.class === "stopped") return false;
  if (lastError.class === "absent" || lastError.class === "withheld") return true;
  const failingFor = (due === undefined ? failingSince : due - ORDER_LOST_AFTER) - failingSince;
  return failingFor >= (attempts >= BROKEN_AFTER_ATTEMPTS ? BROKEN_AFTER : HOST_BROKEN_AFTER);
}

/**
 * Has the ledger forget a feed's counts of work that has come to its end, once in an hour: completeUntil reads them from the
 * first on. Two ledger calls then, else none.
 * @param forgot the hour in which it was last done.
 * @returns that hour now.
 */
export async function forgetDoneWork(
  ledger: Pick<Ledger, "forgetWork">,
  feed: string,
  now: number,
  forgot: string | undefined,
): Promise<string> {
  const hour = windowAt(now);
  if (hour === forgot) return hour;
  await ledger.forgetWork(feed, hour);
  await ledger.forgetWork(heldOf(feed), hour);
  return hour;
}
