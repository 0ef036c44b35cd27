import { h1OfGoMod } from "../../gomod/dirhash.ts";
import { printVersionList } from "../../gomod/list-file.ts";
import { comparePaths, type ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { formatModuleVersion, type Version } from "../../gomod/version.ts";
import { latestOf } from "../../gomod/version-query.ts";
import {
  FULL_WIDTH,
  fullTile,
  isFull,
  parentTile,
  parseTilePath,
  type Tile,
  tileAt,
  tilePath,
} from "../../sumdb/tile.ts";
import { parseTree } from "../../sumdb/tree-head.ts";
import { type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";
import {
  infoKey,
  latestKey,
  listKey,
  lookupKey,
  modKey,
  supportedKey,
  type TreeKey,
  tileKey,
  treeHeadKey,
  zipKey,
} from "../tree-keys.ts";
import type { BundleSnapshot } from "./bundle-ports.ts";
import { joined } from "./joined-entries.ts";
import { type VulndbFile, vulndbBetween } from "./vulndb-files.ts";

/** A file that a tree has by one snapshot, and by an earlier one not, or otherwise. */
export type SnapshotFile = {
  readonly key: TreeKey;
  /** As the snapshot has it; absent where only the tree does (tiles, lookups, `.info` sizes). */
  readonly sha256?: Sha256;
  readonly size?: number;
} & (
  | { readonly kind: "tile"; readonly database: string; readonly tile: Tile }
  | { readonly kind: "lookup"; readonly database: string; readonly entry: SnapshotEntry }
  | { readonly kind: "mod" | "zip" | "info"; readonly entry: SnapshotEntry }
  /** Their content follows from the snapshot, whatever the tree has by now. */
  | { readonly kind: "treeHead" | "list" | "supported"; readonly bytes: Uint8Array }
  /** The `.info` of this version. */
  | { readonly kind: "latest"; readonly source: TreeKey }
  | VulndbFile
);

/**
 * What has to be added to a tree of the snapshot `from` (nothing at all where undefined) for it to be one of `to`, in
 * the order of publishing: tiles; each version's lookups, `.mod`, zip and `.info`; heads; lists and `@latest`;
 * `supported`; the vulnerability database. Within each, by database, then by bytes. Streamed: what is in memory is one module, and the tiles' paths.
 */
export async function* filesBetween(
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
): AsyncGenerator<SnapshotFile> {
  const databases = Object.keys(to.header.heads).sort(comparePaths);
  for (const database of databases) yield* newTiles(database, from, to);
  for await (const [before, after] of joined(from, to))
    if (after !== undefined) yield* newFiles(before, after);
  for (const database of databases) {
    const note = to.header.heads[database] ?? "";
    if (from?.header.heads[database] === note) continue;
    const bytes = Buffer.from(note);
    yield { kind: "treeHead", key: treeHeadKey(database), ...contentOf(bytes) };
  }
  for await (const { path, before, after } of modules(from, to)) yield* newLists(path, before, after);
  for (const database of databases) {
    if (from?.header.heads[database] !== undefined) continue;
    yield { kind: "supported", key: supportedKey(database), ...contentOf(new Uint8Array()) };
  }
  if (to.header.vulndb !== undefined && to.header.vulndb !== from?.header.vulndb)
    yield* vulndbBetween((await from?.vulndb()) ?? [], await to.vulndb());
}

const contentOf = (bytes: Uint8Array) => ({ bytes, size: bytes.byteLength, sha256: sha256Of(bytes) });

/** Tiles that the head proves: what else lay in the tree, a run that died or that was just at work has left there. */
async function* newTiles(
  database: string,
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
): AsyncGenerator<SnapshotFile> {
  const size = sizeOfHead(to, database);
  const held = new Set<string>();
  for await (const path of to.tiles(database)) held.add(path);
  const before = new Set<string>();
  if (from?.header.heads[database] !== undefined) {
    const had = new Set<string>();
    for await (const path of from.tiles(database)) had.add(path);
    const sizeBefore = sizeOfHead(from, database);
    for (const path of had) if (isProvable(parseTilePath(path), sizeBefore, had)) before.add(path);
  }
  for (const path of held) {
    const tile = parseTilePath(path);
    if (before.has(path) || !isProvable(tile, size, held)) continue;
    yield { kind: "tile", key: tileKey(database, tile), database, tile };
  }
}

function sizeOfHead({ header }: BundleSnapshot, database: string): number {
  const note = header.heads[database] ?? "";
  return parseTree(note.slice(0, note.lastIndexOf("\n\n") + 1)).size;
}

/** Whether these tiles prove this one under the head of `size` records: the tile of its place there, and all above. */
function isProvable(tile: Tile, size: number, held: ReadonlySet<string>): boolean {
  if ((tile.index * FULL_WIDTH + tile.width) * FULL_WIDTH ** tile.level > size) return false;
  for (let at = tileAt(tile.level, tile.index, size); at !== undefined; at = parentTile(at, size))
    if (!held.has(tilePath(at)) && (isFull(at) || !held.has(tilePath(fullTile(at))))) return false;
  return true;
}

function* newFiles(before: SnapshotEntry | undefined, entry: SnapshotEntry): Generator<SnapshotFile> {
  for (const database of Object.keys(entry.sumdb ?? {}).sort(comparePaths)) {
    if (before?.sumdb?.[database] !== undefined) continue;
    yield { kind: "lookup", key: lookupKey(database, entry), database, entry };
  }
  if (before?.modSha256 !== entry.modSha256)
    yield { kind: "mod", key: modKey(entry), entry, sha256: entry.modSha256, size: entry.modSize };
  if (entry.held === "whole" && (before?.held !== "whole" || before.zipSha256 !== entry.zipSha256)) {
    const { zipSha256, zipSize } = entry;
    if (zipSha256 === undefined || zipSize === undefined) throw incomplete(entry);
    yield { kind: "zip", key: zipKey(entry), entry, sha256: zipSha256, size: zipSize };
  }
  if (entry.held === "whole" && entry.infoSha256 === undefined) throw incomplete(entry);
  if (entry.infoSha256 !== undefined && before?.infoSha256 !== entry.infoSha256)
    yield { kind: "info", key: infoKey(entry), entry, sha256: entry.infoSha256 };
}

function incomplete(entry: SnapshotEntry): MirrorError {
  const subject = formatModuleVersion(entry);
  return new MirrorError(
    "malformed",
    subject,
    `${subject}: its snapshot says whole, but not what its files are`,
  );
}

/** A module as two snapshots have it. */
export interface ModuleOfBoth {
  readonly path: ModulePath;
  readonly before: readonly SnapshotEntry[];
  readonly after: readonly SnapshotEntry[];
}

/** The entries of both, module by module. */
export async function* modules(
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
): AsyncGenerator<ModuleOfBoth> {
  let before: SnapshotEntry[] = [];
  let after: SnapshotEntry[] = [];
  let path: ModulePath | undefined;
  for await (const [old, now] of joined(from, to)) {
    const next = (now ?? old)?.path;
    if (path !== undefined && next !== path) {
      yield { path, before, after };
      [before, after] = [[], []];
    }
    path = next;
    if (old !== undefined) before.push(old);
    if (now !== undefined) after.push(now);
  }
  if (path !== undefined) yield { path, before, after };
}

/** The versions that a module's `@v/list` and `@latest` are made of. */
export function listedOf(entries: readonly SnapshotEntry[]): Version[] {
  return entries.filter(({ listed }) => listed).map(({ version }) => version);
}

/** A module of which something is held whole has a list, if an empty one (mirror/publish.ts, ensureList). */
function listText(entries: readonly SnapshotEntry[]): string | undefined {
  if (!entries.some(({ held }) => held === "whole")) return undefined;
  return printVersionList(listedOf(entries).filter((version) => !isPseudoVersion(version)));
}

async function* newLists(
  path: ModulePath,
  before: readonly SnapshotEntry[],
  after: readonly SnapshotEntry[],
): AsyncGenerator<SnapshotFile> {
  const text = listText(after) ?? (listText(before) === undefined ? undefined : "");
  if (text !== undefined && text !== listText(before))
    yield { kind: "list", key: listKey(path), ...contentOf(Buffer.from(text)) };
  const latest = await latestEntry(after);
  if (latest?.infoSha256 === undefined) return;
  if (latest.infoSha256 === (await latestEntry(before))?.infoSha256) return;
  yield { kind: "latest", key: latestKey(path), source: infoKey(latest), sha256: latest.infoSha256 };
}

/**
 * As `@latest` chooses (mirror/publish.ts). Whether a `.mod` is the module's own, its hash tells (isLegacyGoMod).
 */
async function latestEntry(entries: readonly SnapshotEntry[]): Promise<SnapshotEntry | undefined> {
  const byVersion = new Map(entries.map((entry) => [entry.version, entry]));
  const best = await latestOf(listedOf(entries), async (version) => {
    const entry = byVersion.get(version);
    return entry?.modH1 !== h1OfGoMod(Buffer.from(`module ${entry?.path}\n`));
  });
  return best === undefined ? undefined : byVersion.get(best);
}

/** What `from` has and `to` not, or of which `to` has less; and what `to` has of it. */
export async function* removedBetween(
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
): AsyncGenerator<{ readonly entry: SnapshotEntry; readonly left: "mod" | "nothing" }> {
  if (from === undefined) return;
  for await (const [entry, after] of joined(from, to)) {
    if (entry === undefined) continue;
    if (after === undefined) yield { entry, left: "nothing" };
    else if (entry.held === "whole" && after.held !== "whole") yield { entry, left: "mod" };
  }
}
