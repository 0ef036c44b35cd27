import type { LedgerItem } from "../../mirror/ledger-entries.ts";
import type { SignedHead } from "../../sumdb/client.ts";

/** What a conditional write stores: the item with the revision after the one that was read. */
export function nextOf<T extends { readonly revision: number }>(
  item: T,
): { stored: T; text: string; read: number } {
  const stored = { ...item, revision: item.revision + 1 };
  return { stored, text: JSON.stringify(stored), read: item.revision };
}

/** Inserts what was never stored, else updates the very revision that was read. @returns false when it is not there. */
export function revise(
  read: number,
  insert: () => { changes: number | bigint },
  update: typeof insert,
): boolean {
  return Number((read === 0 ? insert() : update()).changes) === 1;
}

export type Row = Record<string, unknown>;

/** Only the ledger writes these columns, so what they hold is what nextOf put in. */
export function recordOf<T>(row: Row | undefined): T | undefined {
  return row === undefined ? undefined : (JSON.parse(String(row.record)) as T);
}

export function recordsOf<T>(row: Row): T[] {
  return [JSON.parse(String(row.record)) as T];
}

export function itemOf(kind: LedgerItem["kind"], { name, revision, value }: Row): LedgerItem {
  return { kind, name: String(name), revision: Number(revision), value: JSON.parse(String(value)) };
}

export function headOf({ size, hash, note }: Row): SignedHead {
  return { size: Number(size), hash: hash as Uint8Array, note: note as Uint8Array };
}
