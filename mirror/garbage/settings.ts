import { z } from "zod";
import { duration, milliseconds } from "../duration.ts";

/** What is kept, for how long, and how much one run may take: the configuration's `garbage`. */
export const garbageShape = z.strictObject({
  /** How often `modferry sync --every` collects; left out: `modferry gc` alone does. in AWS nothing does. */
  every: duration.optional(),
  /** How long after it was handed in the newest request of a name keeps its closure. */
  requests: duration.default("90d"),
  /** How long a snapshot that nobody has pinned keeps what it names; left out: as long as `snapshots.keep`, or 7d. */
  window: duration.optional(),
  /** How long the ledger knows what was collected, after that; what no checksum database covers it knows for ever. */
  removed: duration.default("400d"),
  /** How long the ledger knows a request that is over, after it has ended. */
  ended: duration.default("90d"),
  /** How long a list can be looked at before a run acts upon it. */
  review: duration.default("1d"),
  /** How long clients and caches in front of the endpoint may go on showing a list: twice that passes before files go. */
  caches: duration.default("1m"),
  /** A list with more than this share of all held versions, or of their bytes, is not acted upon until it is approved. */
  largestShare: z.number().min(0).max(1).default(0.1),
  /** `keep`: what no checksum database covers stays, for nobody can prove that it could be had again. */
  internal: z.enum(["keep", "collect"]).default("keep"),
  /** What a GB (10^9 bytes) costs in a month, in dollars, for the report: Amazon S3 Standard's first tier. */
  dollarsPerGb: z.number().min(0).max(100).default(0.023),
});

/** As the configuration has it, with all times in ms. */
export interface GarbageSettings extends Omit<z.output<typeof garbageShape>, Times> {
  readonly every: number | undefined;
  readonly requests: number;
  readonly window: number;
  readonly removed: number;
  readonly ended: number;
  readonly review: number;
  readonly caches: number;
}
type Times = "every" | "requests" | "window" | "removed" | "ended" | "review" | "caches";

/** Where the configuration says nothing of snapshots. */
const WINDOW = "7d";

/** @param keep how long the configuration keeps snapshots; undefined where it does not say. */
export function garbageSettings(
  garbage: z.output<typeof garbageShape>,
  keep: string | undefined,
): GarbageSettings {
  return {
    ...garbage,
    every: garbage.every === undefined ? undefined : milliseconds(garbage.every),
    requests: milliseconds(garbage.requests),
    window: milliseconds(garbage.window ?? keep ?? WINDOW),
    removed: milliseconds(garbage.removed),
    ended: milliseconds(garbage.ended),
    review: milliseconds(garbage.review),
    caches: milliseconds(garbage.caches),
  };
}
