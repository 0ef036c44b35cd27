import { z } from "zod";
import { noteTick, tickOf } from "../ticks.ts";
import { expireOlder } from "./catalog.ts";
import type { SnapshotName } from "./snapshot-name.ts";
import { type Taken, type TakeOptions, type TakeParts, takeSnapshot } from "./take.ts";

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const duration = z
  .string()
  .regex(/^[1-9]\d{0,3}[mhd]$/, "give minutes, hours or days, such as 90m, 36h or 7d");

/** How often a snapshot is taken, where something has changed, and how long it is kept: the configuration's `snapshots`. */
export const snapshotsShape = z.strictObject({
  every: duration.default("1d"),
  /** Pinned ones and the newest are kept longer. */
  keep: duration.default("7d"),
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

function milliseconds(text: string): number {
  return Number(text.slice(0, -1)) * UNITS[text.slice(-1) as keyof typeof UNITS];
}
