import { z } from "zod";
import { MirrorError, misuse } from "../errors.ts";
import type { LedgerItem } from "../ledger-entries.ts";
import { reasonText } from "../policy-settings.ts";
import type { Ledger } from "../ports.ts";
import { isSnapshotName, type SnapshotName } from "./snapshot-name.ts";

/** Who keeps a snapshot from expiring: a person, until unpinned; or a lease, such as a bundle in the making's. */
export interface Pin {
  readonly snapshot: SnapshotName;
  /** Of a lease, who has it; absent for a person's pin. */
  readonly holder?: string;
  readonly reason: string;
  readonly by: string;
  /** In ms since the epoch, as `until`, when a lease runs out. */
  readonly at: number;
  readonly until?: number;
}

/** A lease's item is named by its snapshot and its holder; a pin's by its snapshot alone. */
const HOLDER = "#";
const shape = z.object({
  reason: reasonText,
  by: z.string().min(1).max(200),
  at: z.number(),
  until: z.number().optional(),
});

/** All pins and leases, also those that have run out. */
export async function pinsOf(ledger: Pick<Ledger, "items">): Promise<Pin[]> {
  const pins: Pin[] = [];
  for await (const item of ledger.items("pin")) {
    const pin = parsePin(item);
    if (pin !== undefined) pins.push(pin);
  }
  return pins;
}

/** Whether any of these keeps the snapshot at `at`. */
export function isPinned(pins: readonly Pin[], name: SnapshotName, at: number): boolean {
  return pins.some(({ snapshot, until }) => snapshot === name && (until === undefined || until > at));
}

type PinLedger = Pick<Ledger, "readItem" | "writeItem" | "deleteItem">;

/**
 * Pins a snapshot, or takes a lease on it (with `holder` and `until`), which may be renewed the same way.
 * @throws MirrorError misuse where it has expired.
 */
export async function pinSnapshot(ledger: PinLedger, pin: Pin): Promise<void> {
  const { snapshot, holder, ...value } = pin;
  const name = holder === undefined ? snapshot : `${snapshot}${HOLDER}${holder}`;
  await refuseExpired(ledger, snapshot);
  const { written, isNew } = await overwrite(ledger, { kind: "pin", name, revision: 0, value });
  // It may have expired in between: whoever has marked it has not seen the pin, or takes the mark off again.
  try {
    await refuseExpired(ledger, snapshot);
  } catch (thrown) {
    // What was pinned before stays so, whoever asks again: somebody was told that it is. And a ledger that does not answer says
    // nothing of the snapshot: one pin too many on it does no harm.
    const hasExpired = thrown instanceof MirrorError && thrown.class === "misuse";
    if (isNew && hasExpired) await ledger.deleteItem(written);
    throw thrown;
  }
}

/** @returns false where it was not pinned. */
export async function unpinSnapshot(
  ledger: PinLedger,
  snapshot: SnapshotName,
  holder?: string,
): Promise<boolean> {
  const name = holder === undefined ? snapshot : `${snapshot}${HOLDER}${holder}`;
  for (;;) {
    const item = await ledger.readItem("pin", name);
    if (item === undefined) return false;
    if (await ledger.deleteItem(item)) return true;
  }
}

async function overwrite(
  ledger: PinLedger,
  item: LedgerItem,
): Promise<{ readonly written: LedgerItem; readonly isNew: boolean }> {
  for (;;) {
    const before = await ledger.readItem(item.kind, item.name);
    const written = await ledger.writeItem({ ...item, revision: before?.revision ?? 0 });
    if (written !== "changed") return { written, isNew: before === undefined };
  }
}

async function refuseExpired(ledger: PinLedger, name: SnapshotName): Promise<void> {
  if ((await ledger.readItem("snapshot", name)) === undefined) return;
  throw misuse(name, `snapshot ${name}: has expired; take another one, and pin that`);
}

/** One that cannot be read keeps its snapshot all the same. */
function parsePin({ name, value }: LedgerItem): Pin | undefined {
  const at = name.indexOf(HOLDER);
  const [snapshot, holder] = at < 0 ? [name, undefined] : [name.slice(0, at), name.slice(at + 1)];
  if (!isSnapshotName(snapshot)) return undefined;
  const parsed = shape.safeParse(value);
  const { until, ...rest } = parsed.success
    ? parsed.data
    : { reason: "pinned, but why cannot be read", by: "unknown", at: 0, until: undefined };
  return {
    snapshot,
    ...(holder === undefined ? {} : { holder }),
    ...rest,
    ...(until === undefined ? {} : { until }),
  };
}
