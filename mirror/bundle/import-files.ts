import { parseLookup } from "../../sumdb/lookup.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { type Body, isSpool, type Spool, sizeOf } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { inParallel } from "../in-parallel.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { Tree } from "../ports.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { treeHeadKey } from "../tree-keys.ts";
import type { GivenFile } from "./import-walk.ts";
import type { SnapshotFile } from "./snapshot-files.ts";

/** Files, or versions, stored at a time: most of a small file's time is the fsync. */
const FILES_AT_ONCE = 32;
/** Files that a tree may store together: one fsync of a folder serves all that lie in it. */
const FILES_TOGETHER = 1_000;
/** Versions stored together, and records written in one call of the ledger. */
const RECORDS_AT_ONCE = 250;
/** Bytes of versions stored together: whoever is stopped within them stores them once more. */
const BYTES_TOGETHER = 256 * 1024 * 1024;
/** A signed head has a few hundred bytes. */
const LARGEST_HEAD = 1_000_000;

export interface FileParts {
  readonly tree: Tree;
  /** A checked file of the bundle. */
  readonly body: (file: GivenFile) => Promise<Body>;
  readonly stored: (bytes: number, given: GivenFile) => void;
  /** Whether an earlier run has stored it. */
  readonly isStored?: (given: GivenFile) => boolean;
}

/** Stores tiles, create-only. */
export async function storeTiles(parts: FileParts, tiles: AsyncIterable<GivenFile>): Promise<void> {
  for await (const some of grouped(tiles, FILES_TOGETHER)) await storeFiles(parts, some);
}

/** A version's files that a bundle brought. */
export interface GivenVersion {
  readonly entry: SnapshotEntry;
  readonly files: readonly GivenFile[];
}

/** Kinds of a version's files of which none must come before another, in the order of publishing. */
const STEPS: readonly (readonly SnapshotFile["kind"][])[] = [["lookup"], ["mod", "zip"], ["info"]];

/**
 * Stores versions, some at a time: of these first the lookups, which prove what follows; then `.mod` and zips; then each
 * `.info`, by which a version becomes known; then calls `done` with them.
 */
export async function storeVersions(
  parts: FileParts,
  versions: AsyncIterable<GivenVersion>,
  done: (entries: readonly SnapshotEntry[]) => Promise<void>,
): Promise<void> {
  for await (const some of grouped(versions, RECORDS_AT_ONCE, bytesOfVersion)) {
    const files = some.flatMap((version) => version.files);
    for (const kinds of STEPS)
      await storeFiles(
        parts,
        files.filter(({ expected }) => kinds.includes(expected.kind)),
      );
    await done(some.map(({ entry }) => entry));
  }
}

const bytesOfVersion = ({ files }: GivenVersion): number =>
  files.reduce((sum, { file }) => sum + file.size, 0);

async function* grouped<T>(
  items: AsyncIterable<T>,
  size: number,
  bytesOf: (item: T) => number = () => 0,
): AsyncGenerator<T[]> {
  let some: T[] = [];
  let bytes = 0;
  for await (const item of items) {
    some.push(item);
    bytes += bytesOf(item);
    if (some.length < size && bytes < BYTES_TOGETHER) continue;
    yield some;
    some = [];
    bytes = 0;
  }
  if (some.length > 0) yield some;
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

/** Stores files of which none must come before another. */
async function storeFiles(parts: FileParts, files: readonly GivenFile[]): Promise<void> {
  const { tree, body, isStored } = parts;
  const durable: { readonly given: GivenFile; readonly content: Spool }[] = [];
  await inParallel(files, FILES_AT_ONCE, async (given) => {
    if (isStored?.(given)) return;
    const content = await body(given);
    if (tree.createAll !== undefined && isSpool(content) && content.isDurable)
      durable.push({ given, content });
    else await storeFile(parts, given, content);
  });
  if (durable.length === 0) return;
  try {
    const objects = durable.map(({ given: { expected, file }, content }) => ({
      key: expected.key,
      body: content,
      sha256: file.sha256,
    }));
    const answers = (await tree.createAll?.(objects)) ?? [];
    for (const [at, { given, content }] of durable.entries()) {
      if (answers[at] === "exists") await requireEqual(tree, given, content);
      parts.stored(content.size, given);
    }
  } finally {
    for (const { content } of durable) await content.dispose();
  }
}

async function storeFile({ tree, stored }: FileParts, given: GivenFile, content: Body): Promise<void> {
  try {
    if ((await tree.create(given.expected.key, content, given.file.sha256)) === "exists")
      await requireEqual(tree, given, content);
    stored(sizeOf(content), given);
  } finally {
    if (isSpool(content)) await content.dispose();
  }
}

/** What is there already is the same; of an `.info` the first one stays, of a lookup its head may be another. */
async function requireEqual(
  tree: Tree,
  { expected: { key, kind }, file: { sha256 } }: GivenFile,
  content: Body,
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
