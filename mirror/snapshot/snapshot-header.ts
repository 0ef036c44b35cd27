import { z } from "zod";
import { type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { isSnapshotName, type SnapshotName, snapshotName, snapshotNameOf } from "./snapshot-name.ts";

/** What was blocked when a snapshot was taken. */
export interface SnapshotBlock {
  /** `module@version`, or a pattern of module paths. */
  readonly name: string;
  readonly reason: string;
  readonly by: string;
  /** ms since the epoch. */
  readonly at: number;
}

/** An object of a snapshot, for who copies or checks it. */
export interface SnapshotFile {
  readonly size: number;
  readonly sha256: Sha256;
}

/** What a snapshot is made of, beside its entries and tile paths: its `snapshot.json`. */
export interface SnapshotHeader {
  readonly format: typeof SNAPSHOT_FORMAT;
  readonly name: SnapshotName;
  /** Of the content: two snapshots of the same content have the same, whenever and wherever they were taken. */
  readonly hash: Sha256;
  /** The closed moment up to which everything is in it; ms since the epoch. */
  readonly until: number;
  readonly previous?: SnapshotName;
  readonly counts: { readonly modules: number; readonly versions: number; readonly bytes: number };
  /** By checksum database: the text of its newest published head's signed note. */
  readonly heads: Readonly<Record<string, string>>;
  /** By checksum database: the object with the paths of its tiles. */
  readonly tiles: Readonly<Record<string, string>>;
  /** The vault's key of the vulnerability database as it was mirrored then, and its own time, verbatim. */
  readonly vulndb?: string;
  readonly vulndbModified?: string;
  readonly blocks: readonly SnapshotBlock[];
  /** SHA-256 of the entries' NDJSON, uncompressed; and of each database's tile paths. */
  readonly content: { readonly entries: Sha256; readonly tiles: Readonly<Record<string, Sha256>> };
  /** Every object beside this one, by its name. */
  readonly files: Readonly<Record<string, SnapshotFile>>;
}

export const SNAPSHOT_FORMAT = "modferry-snapshot/1";
/** A header with thousands of blocks stays below. */
export const LARGEST_HEADER = 16 * 1024 * 1024;

/** What the hash is over. */
export type SnapshotContent = Pick<SnapshotHeader, "heads" | "blocks" | "content" | "vulndb">;

/** SHA-256 over one line of JSON for each part of the content, in this order, keys sorted. */
export function hashOfContent({ heads, blocks, content, vulndb }: SnapshotContent): Sha256 {
  const lines = [
    { format: SNAPSHOT_FORMAT },
    { entries: content.entries },
    ...sorted(heads).map(([database, head]) => ({ head: database, note: head })),
    ...sorted(content.tiles).map(([database, tiles]) => ({ tiles: database, sha256: tiles })),
    ...blocks.map(({ name, reason, by, at }) => ({ block: name, reason, by, at })),
    ...(vulndb === undefined ? [] : [{ vulndb }]),
  ];
  return sha256Of(Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
}

function sorted<T>(values: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** As `snapshot.json` has it: readable JSON, the same bytes for the same header. */
export function printHeader(header: SnapshotHeader): Uint8Array {
  const { format, name, hash, until, previous, counts, heads, tiles, vulndb, vulndbModified } = header;
  const { blocks, content, files } = header;
  const ordered = {
    format,
    name,
    hash,
    until,
    previous,
    counts: { modules: counts.modules, versions: counts.versions, bytes: counts.bytes },
    heads: Object.fromEntries(sorted(heads)),
    tiles: Object.fromEntries(sorted(tiles)),
    vulndb,
    vulndbModified,
    blocks: blocks.map(({ name: block, reason, by, at }) => ({ name: block, reason, by, at })),
    content: { entries: content.entries, tiles: Object.fromEntries(sorted(content.tiles)) },
    files: Object.fromEntries(sorted(files).map(([file, { size, sha256 }]) => [file, { size, sha256 }])),
  };
  return Buffer.from(`${JSON.stringify(ordered, null, 2)}\n`);
}

const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => text as Sha256);
const count = z.int().min(0);
const name = z.string().refine(isSnapshotName);
const text = z.string().max(1_000);
const shape = z.strictObject({
  format: z.literal(SNAPSHOT_FORMAT),
  name,
  hash: sha256,
  until: count,
  previous: z.exactOptional(name),
  counts: z.strictObject({ modules: count, versions: count, bytes: count }),
  heads: z.record(text, z.string().max(10_000)),
  tiles: z.record(text, z.string().regex(/^tiles-[A-Za-z0-9._~-]+\.zst$/)),
  vulndb: z.exactOptional(z.string().regex(/^vulndb\/[A-Za-z0-9._-]+$/)),
  vulndbModified: z.exactOptional(text),
  blocks: z.array(z.strictObject({ name: text, reason: text, by: text, at: count })),
  content: z.strictObject({ entries: sha256, tiles: z.record(text, sha256) }),
  files: z.record(text, z.strictObject({ size: count, sha256 })),
});

/**
 * Reads a `snapshot.json`. Attacker-controlled: a snapshot may come off a disc.
 * @throws MirrorError malformed where it is none, is of a newer format, or does not have the name or hash of its content.
 */
export function parseHeader(bytes: Uint8Array, expected: string): SnapshotHeader {
  const subject = snapshotName(expected);
  try {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    const header: SnapshotHeader = shape.parse(json);
    if (hashOfContent(header) !== header.hash) throw new Error("its hash is not that of its content");
    if (header.name !== subject || header.name !== snapshotNameOf(header.until, header.hash))
      throw new Error("its name is not that of its time and hash");
    return header;
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const problem = issue ? `${issue.path.join(".")}: ${issue.message}` : (cause as Error).message;
    throw new MirrorError(
      "malformed",
      subject,
      `snapshot ${subject}: snapshot.json is damaged or not of this format: ${problem}`,
      { cause },
    );
  }
}
