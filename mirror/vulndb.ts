import { promisify } from "node:util";
import { gzip } from "node:zlib";
import pLimit from "p-limit";
import { z } from "zod";
import { MirrorError } from "./errors.ts";
import type { Tree } from "./ports.ts";
import type { TreeKey } from "./tree-keys.ts";
import { INDEX_FILES, type VulndbFile, vulndbKey, vulnerabilityFile } from "./vulndb-keys.ts";
import {
  LARGEST_VULNERABILITY,
  parseJson,
  parseVulnerability,
  vulnerabilityId,
  vulnerabilityTime,
} from "./vulnerability.ts";

/** Where the database comes from. */
export interface VulndbSource {
  /** For messages. */
  readonly name: string;
  /** A file's JSON. @throws MirrorError of every class that Upstream (mirror/ports.ts) names. */
  read(file: VulndbFile): Promise<Uint8Array>;
}

/** The public one has some thousand entries; its largest index some hundred kilobytes. */
const MOST_ENTRIES = 200_000;
export const LARGEST_VULNDB_INDEX = 64 * 1024 * 1024;
const FILES_AT_ONCE = 8;

/** golang.org/x/vuln/internal/client, schema.go. */
const dbIndex = z.object({ modified: vulnerabilityTime });
const vulnsIndex = z.array(z.object({ id: vulnerabilityId, modified: vulnerabilityTime })).max(MOST_ENTRIES);
export const modulesIndex = z
  .array(
    z.object({
      path: z.string().min(1).max(1_000),
      vulns: z.array(z.object({ id: vulnerabilityId })).max(MOST_ENTRIES),
    }),
  )
  .max(MOST_ENTRIES);

/** What one run has brought. */
export interface VulndbSynced {
  /** Of the database, verbatim. */
  readonly modified: string;
  /** Entries that are new or have changed. */
  readonly entries: number;
}

/**
 * Brings the mirrored vulnerability database up to its source: entries that are new or modified first, then the index,
 * `index/db` last, so that no reader is sent to an entry that is not there, and a crash anywhere is made good by the
 * next run, which fetches only what is not there yet. An entry that the index names no more stays: a reader that has the
 * older index may still ask for it.
 * @returns undefined where nothing has changed, for one small file asked.
 * @throws MirrorError malformed where a file is none; transient where the source is just being changed itself, or shows
 * an older state than what is mirrored; then the mirror stays as it was.
 */
export async function mirrorVulndb(tree: Tree, source: VulndbSource): Promise<VulndbSynced | undefined> {
  const db = await source.read("index/db");
  const { modified } = parseJson(dbIndex, db, "index/db.json");
  const mirrored = await mirroredModified(tree);
  if (mirrored === modified) return undefined;
  if (mirrored !== undefined && compareTimes(modified, mirrored) < 0)
    throw unsettled(source, `it is of ${modified}, the mirror has ${mirrored} already`);
  const vulns = await source.read("index/vulns");
  const modules = await source.read("index/modules");
  const entries = parseJson(vulnsIndex, vulns, "index/vulns.json");
  const named = new Set(entries.map(({ id }) => id));
  for (const { path, vulns: own } of parseJson(modulesIndex, modules, "index/modules.json"))
    for (const { id } of own)
      if (!named.has(id))
        throw unsettled(source, `index/modules.json names ${id} for ${path}, index/vulns.json does not`);

  const limit = pLimit(FILES_AT_ONCE);
  const changed = await limit.map(entries, (entry) => bringEntry(tree, source, entry));
  for (const [at, bytes] of [vulns, modules, db].entries())
    await store(tree, INDEX_FILES[at] as VulndbFile, bytes);
  return { modified, entries: changed.filter((one) => one).length };
}

/** When the mirrored database was last modified, verbatim; undefined where there is none. */
export async function mirroredModified(tree: Pick<Tree, "get">): Promise<string | undefined> {
  const stored = await tree.get(vulndbKey("index/db", "json"), LARGEST_VULNDB_INDEX);
  return stored === undefined ? undefined : parseJson(dbIndex, stored.bytes, "index/db.json").modified;
}

/** @returns whether it was fetched. */
async function bringEntry(
  tree: Tree,
  source: VulndbSource,
  { id, modified }: { readonly id: string; readonly modified: string },
): Promise<boolean> {
  const file = vulnerabilityFile(id);
  const held = await tree.get(vulndbKey(file, "json"), LARGEST_VULNERABILITY);
  // Both forms: the run before may have died between them.
  if (held !== undefined && parseVulnerability(held.bytes, id).modified === modified) {
    const packed = await tree.get(vulndbKey(file, "json.gz"), LARGEST_VULNERABILITY);
    if (packed?.bytes !== undefined && Buffer.from(await packVulndb(held.bytes)).equals(packed.bytes))
      return false;
  }
  const bytes = await source.read(file);
  if (bytes.byteLength > LARGEST_VULNERABILITY)
    throw new MirrorError(
      "malformed",
      id,
      `${id}: ${bytes.byteLength} bytes, more than ${LARGEST_VULNERABILITY}`,
    );
  const entry = parseVulnerability(bytes, id);
  // Newer than the index says is a change that has just come: its index follows.
  if (compareTimes(entry.modified, modified) < 0)
    throw unsettled(source, `${id} is of ${entry.modified}, the index says ${modified}`);
  await store(tree, file, bytes);
  return true;
}

/** The packed form last: over http it is what is read. */
async function store(tree: Tree, file: VulndbFile, bytes: Uint8Array): Promise<void> {
  await replace(tree, vulndbKey(file, "json"), bytes);
  await replace(tree, vulndbKey(file, "json.gz"), await packVulndb(bytes));
}

async function replace(tree: Tree, key: TreeKey, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const current = await tree.get(key, LARGEST_VULNDB_INDEX);
    if (current !== undefined && Buffer.from(current.bytes).equals(bytes)) return;
    if ((await tree.replace(key, bytes, current?.etag)) === "replaced") return;
  }
}

/** `.json.gz` of a file: the same bytes for the same bytes, since node:zlib writes no time. */
export async function packVulndb(bytes: Uint8Array): Promise<Uint8Array> {
  return await promisify(gzip)(bytes, { level: 9 });
}

/** Of two times in UTC that may differ in their fraction's length. */
function compareTimes(a: string, b: string): number {
  const [aSecond = "", aRest = ""] = split(a);
  const [bSecond = "", bRest = ""] = split(b);
  return aSecond < bSecond ? -1 : aSecond > bSecond ? 1 : aRest < bRest ? -1 : aRest > bRest ? 1 : 0;
}

const split = (time: string): [string, string] => [time.slice(0, 19), time.slice(20, -1).padEnd(9, "0")];

function unsettled(source: VulndbSource, what: string): MirrorError {
  const message = `vulnerability database ${source.name}: ${what}; tried again later`;
  return new MirrorError("transient", "vulndb", message);
}
