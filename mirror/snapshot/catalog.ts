import { readMark } from "../bundle/mark.ts";
import { misuse } from "../errors.ts";
import type { Ledger, Vault } from "../ports.ts";
import { isPinned, pinsOf } from "./pin.ts";
import {
  HEADER_FILE,
  isSnapshotName,
  SNAPSHOTS,
  type SnapshotName,
  snapshotKey,
  timeOfSnapshot,
} from "./snapshot-name.ts";

/** A snapshot as the vault and the ledger have it. */
export interface CatalogEntry {
  readonly name: SnapshotName;
  /** `expired`: its prefix answers 410, and its objects may be gone; `abandoned`: begun, and never announced. */
  readonly state: "kept" | "expired" | "abandoned";
  /** When it expired, in ms since the epoch. */
  readonly expiredAt?: number;
}

export type CatalogParts = {
  readonly vault: Pick<Vault, "keys">;
  readonly ledger: Pick<Ledger, "items">;
};

/** Every snapshot there is or was, the oldest first. One listing of the vault's `snapshots/`, and one of the ledger's items. */
export async function listSnapshots({ vault, ledger }: CatalogParts): Promise<CatalogEntry[]> {
  const found = new Map<SnapshotName, CatalogEntry>();
  for await (const key of vault.keys(SNAPSHOTS)) {
    const [, name = "", file] = key.split("/");
    if (!isSnapshotName(name)) continue;
    if (file === HEADER_FILE) found.set(name, { name, state: "kept" });
    else if (!found.has(name)) found.set(name, { name, state: "abandoned" });
  }
  for await (const { name, value } of ledger.items("snapshot"))
    if (isSnapshotName(name)) found.set(name, { name, state: "expired", expiredAt: Number(value.at) });
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The newest that is kept: the one that the next is made from. */
export async function newestSnapshot(parts: CatalogParts): Promise<SnapshotName | undefined> {
  return (await listSnapshots(parts)).findLast(({ state }) => state === "kept")?.name;
}

type ExpireParts = CatalogParts & {
  readonly ledger: Pick<Ledger, "items" | "readItem" | "writeItem" | "deleteItem">;
};

/**
 * Marks a snapshot as expired: its prefix answers 410 from now on, it counts no more as a reference, and its objects are
 * removed by a later run of garbage collection. The newest one stays, since the next is made from it, and so does the one
 * that bundles have brought this mirror to, since the next bundle builds on it.
 * @returns false where it had expired before.
 * @throws MirrorError misuse where there is none, it is pinned, or one of these two.
 */
export async function expireSnapshot(parts: ExpireParts, name: SnapshotName, at: number): Promise<boolean> {
  const all = await listSnapshots(parts);
  const entry = all.find((one) => one.name === name);
  if (entry === undefined || entry.state === "abandoned") throw unknownSnapshot(name);
  if (entry.state === "expired") return false;
  if (all.findLast(({ state }) => state === "kept")?.name === name)
    throw misuse(name, `snapshot ${name}: the newest, which the next is made from; take another one first`);
  if ((await readMark(parts.ledger))?.snapshot === name)
    throw misuse(name, `snapshot ${name}: this mirror stands at it; import the next bundle first`);
  if (isPinned(await pinsOf(parts.ledger), name, at)) throw pinned(name);
  const written = await parts.ledger.writeItem({ kind: "snapshot", name, revision: 0, value: { at } });
  if (written === "changed") return false;
  // A pin that came in between has seen no mark: the mark goes. One that comes later sees the mark.
  if (!isPinned(await pinsOf(parts.ledger), name, at)) return true;
  await parts.ledger.deleteItem(written);
  throw pinned(name);
}

/** Expires every kept snapshot older than `keep` ms that may expire. @returns their names. */
export async function expireOlder(parts: ExpireParts, keep: number, at: number): Promise<SnapshotName[]> {
  const kept = (await listSnapshots(parts)).filter(({ state }) => state === "kept");
  const pins = await pinsOf(parts.ledger);
  const mark = (await readMark(parts.ledger))?.snapshot;
  const expired: SnapshotName[] = [];
  for (const { name } of kept.slice(0, -1)) {
    if (timeOfSnapshot(name) + keep > at || name === mark || isPinned(pins, name, at)) continue;
    if (await expireSnapshot(parts, name, at)) expired.push(name);
  }
  return expired;
}

/**
 * Removes the objects of a snapshot that has expired or was abandoned, the header first, so that nobody opens what is
 * half gone. For garbage collection, which leaves time for readers that have it open.
 */
export async function removeSnapshot(
  vault: Pick<Vault, "keys" | "remove">,
  name: SnapshotName,
): Promise<void> {
  await vault.remove(snapshotKey(name, HEADER_FILE));
  for await (const key of vault.keys(`${SNAPSHOTS}${name}/`)) await vault.remove(key);
}

export function unknownSnapshot(name: string) {
  return misuse(name, `snapshot ${name}: none of that name; \`modferry snapshot list\` shows them`);
}

function pinned(name: SnapshotName) {
  return misuse(name, `snapshot ${name}: pinned; \`modferry snapshot unpin ${name}\` first`);
}
