import { type IndexStamp, stampOf } from "../gomod/index-stamp.ts";
import { parseCursor } from "./feed-cursor.ts";
import type { Ledger } from "./ports.ts";

/** How far a feed has been mirrored, and what holds it there. */
export interface Completeness {
  /** All that the feed saw before this is held, or is known to be kept out or broken. RFC 3339. */
  readonly until: IndexStamp;
  /** How many roots are at work in the earliest hour that has any. */
  readonly open: number;
}

/**
 * How far a feed is complete: to the start of the earliest hour (of the feed's own stamps) in which roots are still at
 * work; without any, to where it was last read to its end. Roots that are BROKEN, WITHHELD, GONE, HELD, DENIED, BLOCKED
 * or in CONFLICT hold nothing back, and one that is tried again long after its hour was done with does not reopen it.
 * Two ledger calls whatever the mirror holds: the watermark says from which hour on there can be any.
 * @returns undefined for a feed that was never read.
 */
export async function completeUntil(
  ledger: Pick<Ledger, "readWatermark" | "openWork">,
  feed: string,
): Promise<Completeness | undefined> {
  const watermark = await ledger.readWatermark(feed);
  if (watermark === undefined) return undefined;
  const { open: from = "", checked } = parseCursor(watermark.cursor);
  for await (const { window, open } of ledger.openWork(feed, from)) {
    const start = `${window}:00:00Z` as IndexStamp;
    return { until: start < watermark.timestamp ? start : (watermark.timestamp as IndexStamp), open };
  }
  const until = checked === undefined ? (watermark.timestamp as IndexStamp) : stampOf(checked);
  return { until: until > watermark.timestamp ? until : (watermark.timestamp as IndexStamp), open: 0 };
}
