import { z } from "zod";
import type { Clock, Ledger } from "./ports.ts";

/** A checksum database had `size` records at `at`, in ms since the epoch: every record below is at least as old. */
export interface HeadTime {
  readonly size: number;
  readonly at: number;
}

/** As many heads' times are kept of a database; with sizes of eleven digits they stay below a LedgerItem's 1,900 bytes. */
const MOST_HEADS = 64;
/** Two that are kept are at least this far apart, in ms: a minimum age is a matter of days. */
const SPACING = 3_600_000;

/** Pairs of size and time, ascending; times in seconds since the epoch, rounded up. */
const shape = z.strictObject({ heads: z.array(z.tuple([z.int().min(0), z.int().min(0)])).max(MOST_HEADS) });
const nameOf = (database: string): string => `head-times#${database}`;

/** When this mirror has seen heads of a database, by its own clock. */
export async function headTimes(
  ledger: Pick<Ledger, "readItem">,
  database: string,
): Promise<readonly HeadTime[]> {
  const item = await ledger.readItem("control", nameOf(database));
  const parsed = shape.safeParse(item?.value);
  return parsed.success ? parsed.data.heads.map(([size, seconds]) => ({ size, at: seconds * 1000 })) : [];
}

/**
 * Notes that the newest published head is there now, where the last one that was noted is smaller and an hour old. Kept
 * are some dozens, the denser the younger: dropping one can only make a version seem younger. Of two that note at once
 * one wins, which is as good.
 */
export async function noteHeadTime(
  {
    ledger,
    now,
  }: { readonly ledger: Pick<Ledger, "readItem" | "writeItem" | "readHead">; readonly now: Clock },
  database: string,
): Promise<void> {
  const head = await ledger.readHead(database);
  if (head === undefined) return;
  const at = now();
  const known = await headTimes(ledger, database);
  const last = known.at(-1);
  if (last !== undefined && (last.size >= head.size || at - last.at < SPACING)) return;
  const item = await ledger.readItem("control", nameOf(database));
  const kept = thinned([...known, { size: head.size, at }], at);
  await ledger.writeItem({
    kind: "control",
    name: nameOf(database),
    revision: item?.revision ?? 0,
    value: { heads: kept.map((one) => [one.size, Math.ceil(one.at / 1000)]) },
  });
}

/** Drops that one, but the first and the last, whose gap is smallest for its age. */
function thinned(heads: readonly HeadTime[], now: number): readonly HeadTime[] {
  if (heads.length <= MOST_HEADS) return heads;
  let drop = 1;
  let smallest = Number.POSITIVE_INFINITY;
  for (let at = 1; at < heads.length - 1; at++) {
    const [before, here, after] = [heads[at - 1], heads[at], heads[at + 1]];
    if (before === undefined || here === undefined || after === undefined) continue;
    const gap = (after.at - before.at) / (now - here.at + SPACING);
    if (gap >= smallest) continue;
    smallest = gap;
    drop = at;
  }
  return heads.filter((_, at) => at !== drop);
}
