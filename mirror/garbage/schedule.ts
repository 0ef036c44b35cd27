import { noteTick, tickOf } from "../ticks.ts";
import { type Collected, type CollectOptions, type CollectParts, collectGarbage } from "./collect.ts";

const TICK = "collect";
/** A tick that comes a little before its time is not put off by a whole round, in ms. */
const SLACK = 30_000;

/** A run of garbage collection, noted for `modferry status`. */
export async function collectTick(parts: CollectParts, options: CollectOptions): Promise<Collected> {
  return await noteTick(
    parts,
    TICK,
    () => collectGarbage(parts, options),
    ({ outcome }) => outcome !== "ran",
  );
}

/** As collectTick, where the last one was `every` ms ago. @returns undefined where it is not time yet. */
export async function collectWhenDue(
  parts: CollectParts,
  every: number,
  options: CollectOptions,
): Promise<Collected | undefined> {
  const item = await parts.ledger.readItem("control", `tick/${TICK}`);
  const last = (item && tickOf(item))?.succeeded;
  if (last !== undefined && last + every - SLACK > parts.now()) return undefined;
  return await collectTick(parts, options);
}
