import { z } from "zod";
import { duration, milliseconds } from "../duration.ts";
import { noteTick, tickOf } from "../ticks.ts";
import { expireOlder } from "./catalog.ts";
import type { SnapshotName } from "./snapshot-name.ts";
import { type Taken, type TakeOptions, type TakeParts, takeSnapshot } from "./take.ts";

const positive = duration.refine((text) => milliseconds(text) > 0, "give more than none, such as 12h or 7d");

/** How often a snapshot is taken, where something has changed, and how long it is kept: the configuration's `snapshots`. */
export const snapshotsShape = z.strictObject({
  every: positive.default("1d"),
  /** Pinned ones and the newest are kept longer. */
  keep: positive.default("7d"),
});
export type SnapshotSettings = z.output<typeof snapshotsShape>;

/** What one tick has done. */
export interface SnapshotTick {
  readonly taken: Taken;
  /** Older than they are kept. */
  readonly expired: readonly SnapshotName[];
}

const TICK = "snapshot";
/** A tick that comes a little before its time is not put off by a whole round. */
const SLACK = 30_000;

/**
 * Takes a snapshot where the last look was long enough ago, and expires those that are older than they are kept.
 * @returns undefined where it is not time yet.
 */
export async function takeWhenDue(
  parts: TakeParts,
  settings: SnapshotSettings,
  options: TakeOptions,
): Promise<SnapshotTick | undefined> {
  const item = await parts.ledger.readItem("control", `tick/${TICK}`);
  const last = (item && tickOf(item))?.succeeded;
  if (last !== undefined && last + milliseconds(settings.every) - SLACK > parts.now()) return undefined;
  return await snapshotTick(parts, settings, options);
}

/** One tick, whenever the last one was. */
export async function snapshotTick(
  parts: TakeParts,
  { keep }: SnapshotSettings,
  options: TakeOptions,
): Promise<SnapshotTick> {
  const work = async (): Promise<SnapshotTick> => {
    const taken = await takeSnapshot(parts, options);
    return { taken, expired: await expireOlder(parts, milliseconds(keep), parts.now()) };
  };
  return await noteTick(parts, TICK, work, ({ taken }) => taken.outcome === "busy");
}
