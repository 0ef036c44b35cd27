import { parseLookup } from "../../sumdb/lookup.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { type Body, isSpool, type Sha256, sizeOf } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { inParallel } from "../in-parallel.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { Tree } from "../ports.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { type TreeKey, treeHeadKey } from "../tree-keys.ts";
import type { GivenFile } from "./import-walk.ts";

/** Files, or versions, stored at a time: most of a small file's time is the fsync. */
const FILES_AT_ONCE = 32;
/** Records written in one call of the ledger. */
const RECORDS_AT_ONCE = 250;
/** A signed head has a few hundred bytes. */
const LARGEST_HEAD = 1_000_000;

export interface FileParts {
  readonly tree: Tree;
  /** A checked file of the bundle. */
  readonly body: (file: GivenFile) => Promise<Body>;
  readonly stored: (bytes: number) => void;
}

/** Stores tiles, create-only. */
export async function storeTiles(parts: FileParts, tiles: AsyncIterable<GivenFile>): Promise<void> {
  await inParallel(tiles, FILES_AT_ONCE, (tile) => storeFile(parts, tile));
}

/** A version's files that a bundle brought. */
export interface GivenVersion {
  readonly entry: SnapshotEntry;
  readonly files: readonly GivenFile[];
}

/**
 * Stores versions: of each its lookups, `.mod` and zip, then `.info`, by which it becomes known; then calls `done` with
 * those that are stored, some at a time.
 */
export async function storeVersions(
  parts: FileParts,
  versions: AsyncIterable<GivenVersion>,
  done: (entries: readonly SnapshotEntry[]) => Promise<void>,
): Promise<void> {
  let stored: SnapshotEntry[] = [];
  await inParallel(versions, FILES_AT_ONCE, async ({ entry, files }) => {
    const isInfo = ({ expected }: GivenFile) => expected.kind === "info";
    // Side by side, so that one fsync of their folder serves them all.
    await inParallel(
      files.filter((file) => !isInfo(file)),
      FILES_AT_ONCE,
      (file) => storeFile(parts, file),
    );
    for (const file of files.filter(isInfo)) await storeFile(parts, file);
    stored.push(entry);
    if (stored.length < RECORDS_AT_ONCE) return;
    const some = stored;
    stored = [];
    await done(some);
  });
  await done(stored);
}

/** The files of entries, version by version; they lie side by side. */
export async function* byVersion(given: AsyncIterable<GivenFile>): AsyncGenerator<GivenVersion> {
  let entry: SnapshotEntry | undefined;
  let files: GivenFile[] = [];
  for await (const file of given) {
    const next = "entry" in file.expected ? file.expected.entry : undefined;
    if (entry !== undefined && (next?.path !== entry.path || next.version !== entry.version)) {
      yield { entry, files };
      files = [];
    }
    entry = next;
    if (next !== undefined) files.push(file);
  }
  if (entry !== undefined) yield { entry, files };
}

async function storeFile({ tree, body, stored }: FileParts, given: GivenFile): Promise<void> {
  const content = await body(given);
  const { expected, file } = given;
  try {
    const { key } = expected;
    if ((await tree.create(key, content, file.sha256)) === "exists")
      await requireEqual(tree, key, expected.kind, content, file.sha256);
    stored(sizeOf(content));
  } finally {
    if (isSpool(content)) await content.dispose();
  }
}

/** What is there already is the same; of an `.info` the first one stays, of a lookup its head may be another. */
async function requireEqual(
  tree: Tree,
  key: TreeKey,
  kind: GivenFile["expected"]["kind"],
  content: Body,
  sha256: Sha256,
): Promise<void> {
  if (kind === "info") return;
  const present = await tree.open(key);
  if (present === undefined)
    throw new MirrorError("transient", key, `${key}: was there and is gone; import again`);
  try {
    if (present.size === sizeOf(content) && (await sha256OfObject(present)) === sha256) return;
    if (kind === "lookup" && sizeOf(content) <= LARGEST_LOOKUP && present.size <= LARGEST_LOOKUP) {
      const given = isSpool(content) ? await content.read(0, content.size) : content;
      const [ours, theirs] = [parseLookup(await present.read(0, present.size)), parseLookup(given)];
      if (ours.id === theirs.id && ours.text === theirs.text) return;
    }
    // Where the ledger holds it, its h1 was compared before: two upstreams may compress differently.
    if (kind === "zip" || kind === "mod") return;
  } finally {
    await present.close();
  }
  const message = `${key}: the tree has something else there than what is proven; run \`modferry verify\`, remove that file and import again`;
  throw new MirrorError("mismatch", key, message);
}

/** Never back: a newer head that this mirror has from elsewhere stays. */
export async function moveTreeHead(
  tree: Pick<Tree, "get" | "replace">,
  verifier: Verifier,
  note: Uint8Array,
): Promise<void> {
  const key = treeHeadKey(verifier.name);
  const { size } = openTreeHead(note, verifier);
  for (;;) {
    const current = await tree.get(key, LARGEST_HEAD);
    if (current !== undefined && openTreeHead(current.bytes, verifier).size >= size) return;
    if ((await tree.replace(key, note, current?.etag)) === "replaced") return;
  }
}
