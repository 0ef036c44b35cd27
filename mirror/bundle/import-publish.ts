import { formatModuleVersion } from "../../gomod/version.ts";
import type { Verifier } from "../../sumdb/note.ts";
import type { SignedHead } from "../../sumdb/tree-head.ts";
import { type BlockParts, block } from "../block.ts";
import { readBlocks } from "../blocks.ts";
import { type Body, isSpool, sha256Of } from "../body.ts";
import { removing } from "../garbage/removal.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import { supportedKey } from "../tree-keys.ts";
import { unblock } from "../unblock.ts";
import { updateRecords } from "../update.ts";
import { LARGEST_VULNDB_INDEX } from "../vulndb.ts";
import type { BundleSnapshot } from "./bundle-ports.ts";
import { byVersion, type FileParts, moveTreeHead, storeTiles, storeVersions } from "./import-files.ts";
import { listModules } from "./import-lists.ts";
import type { GivenFile } from "./import-walk.ts";
import { BUNDLE_WISH, received } from "./received-record.ts";
import { modules, removedBetween } from "./snapshot-files.ts";

export type PublishParts = BlockParts & FileParts & { readonly verifiers: readonly Verifier[] };

/** One step of an import, with all of it checked, proven and at hand. */
export interface CheckedStep {
  readonly before: BundleSnapshot | undefined;
  readonly to: BundleSnapshot;
  readonly heads: ReadonlyMap<string, SignedHead>;
  /** All files, in the order of publishing; may be called several times. */
  given(): AsyncIterable<GivenFile>;
}

/**
 * Publishes a step in the engine's own order: tiles; heads in the ledger; each version's files, then its record; heads in
 * the tree; lists, of which what goes is taken off before what comes is added; `supported`; blocks. Everything is
 * create-only or done by comparison: dying anywhere, it is finished by doing it again, and at each moment what a list
 * names is there.
 */
export async function publishStep(parts: PublishParts, step: CheckedStep): Promise<void> {
  const { ledger, tree } = parts;
  await liftBlocks(parts, step);
  await storeTiles(parts, tilesOf(step.given()));
  for (const [database, head] of step.heads) await ledger.addHead(database, head);
  const versions = byVersion(ofKinds(step.given(), "lookup", "mod", "zip", "info"));
  await storeVersions(parts, versions, (entries) => noteReceived(parts, entries));
  for (const [database, { note }] of step.heads) {
    const verifier = parts.verifiers.find(({ name }) => name === database);
    if (verifier !== undefined) await moveTreeHead(tree, verifier, note);
  }
  await listModules(parts, modules(step.before, step.to));
  const empty = new Uint8Array();
  for (const database of step.heads.keys()) await tree.create(supportedKey(database), empty, sha256Of(empty));
  if (step.to.header.vulndb !== undefined)
    for await (const file of ofKinds(step.given(), "vulndb")) await replaceFile(parts, file);
  await addBlocks(parts, step);
  await collectRemoved(parts, step);
}

/** They come first. */
async function* tilesOf(given: AsyncIterable<GivenFile>): AsyncGenerator<GivenFile> {
  for await (const file of given) {
    if (file.expected.kind !== "tile") return;
    yield file;
  }
}

async function* ofKinds(
  given: AsyncIterable<GivenFile>,
  ...kinds: readonly GivenFile["expected"]["kind"][]
): AsyncGenerator<GivenFile> {
  for await (const file of given) if (kinds.includes(file.expected.kind)) yield file;
}

/** A file that changes with each bundle. */
async function replaceFile({ tree, body, stored }: PublishParts, given: GivenFile): Promise<void> {
  const { expected } = given;
  const content = await body(given);
  const bytes = await bytesOf(content);
  for (;;) {
    const current = await tree.get(expected.key, LARGEST_VULNDB_INDEX);
    if (current !== undefined && Buffer.from(current.bytes).equals(bytes)) break;
    if ((await tree.replace(expected.key, bytes, current?.etag)) === "replaced") break;
  }
  stored(bytes.byteLength, given);
}

async function bytesOf(content: Body): Promise<Uint8Array> {
  if (!isSpool(content)) return content;
  try {
    return await content.read(0, content.size);
  } finally {
    await content.dispose();
  }
}

/** By version; a crash before it leaves files that no record names, which the next run finds equal. */
async function noteReceived(parts: PublishParts, entries: readonly SnapshotEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const byName = new Map(entries.map((entry) => [formatModuleVersion(entry), entry]));
  await updateRecords(
    parts.ledger,
    entries,
    (record, version) =>
      received(record, byName.get(formatModuleVersion(version)) as SnapshotEntry, parts.now()),
    ({ path, version }) => ({ event: "held", version: { path, version }, at: parts.now() }),
  );
}

/** Blocks that came by a bundle are told from this mirror's own by who set them. */
const BY_BUNDLE = " (by bundle)";
const LONGEST_BY = 200;

/** What the other side has let go is let go here, unless somebody here has blocked it. */
async function liftBlocks(parts: PublishParts, { to }: CheckedStep): Promise<void> {
  const names = new Set(to.header.blocks.map(({ name }) => name));
  for (const { name, by } of await readBlocks(parts.ledger))
    if (by.endsWith(BY_BUNDLE) && !names.has(name)) await unblock(parts, name, by);
}

async function addBlocks(parts: PublishParts, { to }: CheckedStep): Promise<void> {
  for (const { name, reason, by } of to.header.blocks)
    await block(parts, name, reason, `${by.slice(0, LONGEST_BY - BY_BUNDLE.length)}${BY_BUNDLE}`);
  // What this mirror itself keeps out may have come by the bundle.
  for (const own of await readBlocks(parts.ledger))
    if (!own.by.endsWith(BY_BUNDLE)) await block(parts, own.name, own.reason, own.by);
}

/** What the other side has collected is collected here: off its list already, deleted by `modferry gc`. */
async function collectRemoved(parts: PublishParts, { before, to }: CheckedStep): Promise<void> {
  const blocked = new Set(to.header.blocks.map(({ name }) => name));
  for await (const { entry, left } of removedBetween(before, to)) {
    const [record] = await parts.ledger.read([entry]);
    if (record === undefined || record.wish !== BUNDLE_WISH || record.state !== "READY") continue;
    if (blocked.has(formatModuleVersion(entry))) continue;
    await updateRecords(
      parts.ledger,
      [record],
      (current) => (current?.state === "READY" ? removing(current, left, parts.now()) : current),
      ({ path, version }) => ({ event: "removed", version: { path, version }, at: parts.now() }),
    );
  }
}
