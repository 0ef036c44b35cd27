import { z } from "zod";
import { misuse } from "../errors.ts";
import type { LedgerItem } from "../ledger-entries.ts";
import type { Ledger } from "../ports.ts";
import { contended, MOST_RACES } from "../update.ts";

/** The list that waits to be acted upon, in the ledger's `control` item `garbage`. Times in ms since the epoch. */
export interface CurrentList {
  readonly run: string;
  /** When its run began to look; what has been wanted since then is not on it, or has another `wantedAt` by now. */
  readonly at: number;
  readonly sha256: string;
  readonly versions: number;
  readonly objects: number;
  readonly bytes: number;
  /** Of all that was held then, of versions or of bytes, whichever is more: from 0 to 1. */
  readonly share: number;
  /** More than the largest share of what is held: nobody acts upon it until it is approved. */
  readonly stopped?: boolean;
  /** Who has approved it. */
  readonly approved?: string;
  /** As many of its lines have been acted upon. */
  readonly done: number;
  /** When the last one was; then the next run chooses anew. */
  readonly finished?: number;
  readonly revision: number;
}

const NAME = "garbage";
const count = z.int().min(0);
const shape = z.object({
  run: z.string(),
  at: count,
  sha256: z.string(),
  versions: count,
  objects: count,
  bytes: count,
  share: z.number().min(0).max(1),
  stopped: z.exactOptional(z.boolean()),
  approved: z.exactOptional(z.string()),
  done: count,
  finished: z.exactOptional(count),
});

/** Undefined where no run has chosen yet, or the item cannot be read: then the next one chooses. */
export async function readCurrentList(ledger: Pick<Ledger, "readItem">): Promise<CurrentList | undefined> {
  const item = await ledger.readItem("control", NAME);
  const value = shape.safeParse(item?.value).data;
  return item === undefined || value === undefined ? undefined : { ...value, revision: item.revision };
}

/** Clocks of workers may disagree by as much, in ms. */
const SKEW = 600_000;

/**
 * What was last wanted before then may stand on a list that somebody is going to act upon; undefined where there is none.
 * One read of the ledger.
 */
export async function garbageChosenAt(ledger: Pick<Ledger, "readItem">): Promise<number | undefined> {
  const current = await readCurrentList(ledger);
  return current === undefined || current.finished !== undefined ? undefined : current.at + SKEW;
}

/** @returns `changed` where another run was first. */
export async function writeCurrentList(
  ledger: Pick<Ledger, "readItem" | "writeItem">,
  { revision, ...value }: CurrentList,
): Promise<CurrentList | "changed"> {
  const item: LedgerItem = { kind: "control", name: NAME, revision, value };
  const written = await ledger.writeItem(item);
  return written === "changed" ? written : { ...value, revision: written.revision };
}

/** The revision that a first list, or one over an item that cannot be read, is written over. */
export async function revisionOf(ledger: Pick<Ledger, "readItem">): Promise<number> {
  return (await ledger.readItem("control", NAME))?.revision ?? 0;
}

/** An operator has looked at a list: the next run may act upon it. @throws MirrorError misuse where it is not the one. */
export async function approveList(
  ledger: Pick<Ledger, "readItem" | "writeItem">,
  run: string,
  by: string,
): Promise<CurrentList> {
  for (let race = 0; race < MOST_RACES; race++) {
    const current = await readCurrentList(ledger);
    if (current === undefined || current.run !== run || current.finished !== undefined) {
      const waiting = current === undefined || current.finished !== undefined ? "none" : current.run;
      throw misuse(run, `${run}: no list of that name waits; waiting is: ${waiting}`);
    }
    const written = await writeCurrentList(ledger, { ...current, approved: by });
    if (written !== "changed") return written;
  }
  throw contended("garbage list");
}
