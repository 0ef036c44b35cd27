import { type IndexStamp, stampOf } from "../gomod/index-stamp.ts";
import { parseCursor } from "./feed-cursor.ts";
import { heldOf, windowAt, windowOfHeld } from "./feed-work.ts";
import type { OpenWork } from "./ledger-entries.ts";
import type { Ledger } from "./ports.ts";

/** How far a feed has been mirrored, and what holds it there. */
export interface Completeness {
  /** All that the feed saw before this is held and listed, or is known to be kept out or broken. RFC 3339. */
  readonly until: IndexStamp;
  /** How many roots are at work in the earliest hour that has any. */
  readonly open: number;
}

/**
 * How far a feed is complete: to the start of the earliest hour (of the feed's own stamps) in which roots are at work
 * (PENDING, FAILED; HELD since an hour of the clock that is over; or held whole, but not listed yet since something of
 * their closure is at work); without any, to where it was last read to its end. Whenever a root came there: one that comes
 * out of HELD, DENIED or BLOCKED counts in the hour of its stamp. What is BROKEN, WITHHELD, GONE or in CONFLICT holds
 * nothing back, nor does one more try of it. Three ledger calls whatever the mirror holds.
 * @param now ms since the epoch.
 * @returns undefined for a feed that was never read.
 */
export async function completeUntil(
  ledger: Pick<Ledger, "readWatermark" | "openWork">,
  feed: string,
  now: number,
): Promise<Completeness | undefined> {
  const watermark = await ledger.readWatermark(feed);
  if (watermark === undefined) return undefined;
  const readUntil = watermark.timestamp as IndexStamp;
  const work = earliest([await firstOpen(ledger, feed), await firstOverdue(ledger, feed, now)]);
  if (work !== undefined) {
    const start = `${work.window}:00:00Z` as IndexStamp;
    return { until: start < readUntil ? start : readUntil, open: work.open };
  }
  const { checked } = parseCursor(watermark.cursor);
  const until = checked === undefined ? readUntil : stampOf(checked);
  return { until: until > readUntil ? until : readUntil, open: 0 };
}

async function firstOpen(ledger: Pick<Ledger, "openWork">, feed: string): Promise<OpenWork | undefined> {
  for await (const work of ledger.openWork(feed)) return work;
  return undefined;
}

/** Of what is HELD although its time was over before this hour, what the feed saw first. */
async function firstOverdue(
  ledger: Pick<Ledger, "openWork">,
  feed: string,
  now: number,
): Promise<OpenWork | undefined> {
  const overdue: OpenWork[] = [];
  for await (const { window, open } of ledger.openWork(heldOf(feed), windowAt(now)))
    overdue.push({ window: windowOfHeld(window), open });
  return earliest(overdue);
}

function earliest(works: readonly (OpenWork | undefined)[]): OpenWork | undefined {
  return works.reduce<OpenWork | undefined>((first, work) => {
    if (first === undefined || work === undefined) return first ?? work;
    if (first.window === work.window) return { window: first.window, open: first.open + work.open };
    return work.window < first.window ? work : first;
  }, undefined);
}
