import type { Sha256 } from "../body.ts";
import { misuse } from "../errors.ts";

declare const checked: unique symbol;
/** `20260131T235959Z-0123456789abcdef`: the moment up to which it holds everything, and the beginning of its hash. */
export type SnapshotName = string & { readonly [checked]: "SnapshotName" };

/** Below it lie all objects of all snapshots, in the vault. */
export const SNAPSHOTS = "snapshots/";
/** The object that announces a snapshot: written last, and what is not announced is no snapshot. */
export const HEADER_FILE = "snapshot.json";
export const ENTRIES_FILE = "entries.zst";
export const INDEX_FILE = "index.json.zst";

const NAME = /^\d{8}T\d{6}Z-[0-9a-f]{16}$/;

export function isSnapshotName(text: string): text is SnapshotName {
  return NAME.test(text) && !Number.isNaN(momentOf(text));
}

/** @throws MirrorError misuse where it is none. */
export function snapshotName(text: string): SnapshotName {
  if (isSnapshotName(text)) return text;
  throw misuse(
    text,
    `${JSON.stringify(text)}: no snapshot's name, such as 20260131T235959Z-0123456789abcdef; \`modferry snapshot list\` shows them`,
  );
}

/** @param until ms since the epoch. */
export function snapshotNameOf(until: number, hash: Sha256): SnapshotName {
  const time = new Date(until).toISOString().slice(0, 19).replace(/[-:]/g, "");
  return `${time}Z-${hash.slice(0, 16)}` as SnapshotName;
}

/** The second up to which it holds everything, in ms since the epoch. */
export function timeOfSnapshot(name: SnapshotName): number {
  return momentOf(name);
}

/** Where an object of a snapshot lies in the vault. */
export function snapshotKey(name: SnapshotName, file: string): string {
  return `${SNAPSHOTS}${name}/${file}`;
}

/** The object with the tile paths of a checksum database; its name may have slashes, never a `~`. */
export function tilesFile(database: string): string {
  return `tiles-${database.replaceAll("/", "~")}.zst`;
}

/**
 * A moment as `20260131T235959Z` or as RFC 3339 has it, in ms since the epoch; undefined where it is neither.
 * Attacker-controlled.
 */
export function parseMoment(text: string): number | undefined {
  const long = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;
  const at = /^\d{8}T\d{6}Z$/.test(text) ? momentOf(text) : long.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

function momentOf(text: string): number {
  return Date.parse(
    text.slice(0, 15).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)$/, "$1-$2-$3T$4:$5:$6Z"),
  );
}
