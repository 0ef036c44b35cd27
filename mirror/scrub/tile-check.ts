import { HeadTiles } from "../../sumdb/head-tiles.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { ProofError } from "../../sumdb/proof-error.ts";
import {
  FULL_TILE_SIZE,
  FULL_WIDTH,
  fullTile,
  parentTile,
  type Tile,
  tileAt,
  tilePath,
} from "../../sumdb/tile.ts";
import type { FilledExtent } from "../../sumdb/tile-extent.ts";
import { HASH_SIZE } from "../../sumdb/tlog.ts";
import { openTreeHead, type SignedHead } from "../../sumdb/tree-head.ts";
import { asMirrorError } from "../errors.ts";
import type { Ledger, Tree } from "../ports.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { readFilled } from "../tile-filling.ts";
import {
  parseTreeKey,
  supportedKey,
  type TreeEntry,
  type TreeKey,
  tileKey,
  treeHeadKey,
} from "../tree-keys.ts";
import type { ScrubFinding } from "./finding.ts";
import { behind, lackingOf, PresentTiles, tilesPrefix } from "./present-tiles.ts";

interface TileCheckParts {
  readonly tree: Pick<Tree, "get" | "keys">;
  readonly ledger: Pick<Ledger, "readHead" | "readWatermark">;
  readonly verifier: Verifier;
  /** Deep: every tile is read, and proven as far as the newest head has it. */
  readonly prove: boolean;
  /** Told of each tile, with its size. */
  readonly progress: (bytes: number) => void;
}

/** Each is read twice at most: once as it is stored, once to be proven. */
const TILES_AT_ONCE = 64;
/** No tree of the largest size that a database may have (sumdb/tlog.ts) has tiles above this level. */
const HIGHEST_LEVEL = 7;

/**
 * What is wrong with a database's head and tiles: the head against the ledger's, all tiles that the extents and the head
 * promise against a listing, the head's own edge proven. One bit for each full tile is kept, 25 kB for the public
 * database, so that the order of the listing does not matter.
 */
export async function* checkDatabase(parts: TileCheckParts): AsyncGenerator<ScrubFinding> {
  const { tree, ledger, verifier } = parts;
  const database = verifier.name;
  // Before the tree is read: what the ledger held then, the tree must show.
  const promised = await ledger.readHead(database);
  const extents: [FilledExtent, number][] = [];
  for (const extent of ["upper", "full"] as const)
    extents.push([extent, (await readFilled(ledger, database, extent)).size]);
  const present = new PresentTiles();
  for await (const { key, size } of behind(tree, tilesPrefix(database))) {
    parts.progress(size);
    const entry = parseTreeKey(key);
    if (entry?.kind !== "tile") {
      yield { kind: "stray", subject: key, message: "no tile; remove it" };
      continue;
    }
    present.add(entry.tile);
    if (size === entry.tile.width * HASH_SIZE) continue;
    const message = `has ${size} bytes instead of ${entry.tile.width * HASH_SIZE}`;
    yield finding(database, entry.key, message, { tile: entry.key });
  }
  for (const [extent, size] of extents) yield* missingOf(database, extent, size, present);
  if (promised === undefined) return;
  // Read last: a head is first in the ledger, then in the tree, at once.
  yield* checkHead(database, promised, await openHead(tree, verifier));
  const supported = await tree.get(supportedKey(database), LARGEST_LOOKUP);
  if (supported === undefined && extents.some(([, size]) => size >= promised.size))
    yield finding(database, supportedKey(database), "missing: clients do not ask this tree", { head: true });
  const edge = await checkEdge(tree, database, promised);
  yield* edge;
  if (parts.prove && edge.length === 0) yield* proveTiles(parts, promised);
}

/**
 * Reads every tile and proves it under the head, the highest level first: below one that is wrong nothing can be proven,
 * and nothing is said. What the tree does not hold the proof for, nobody reads: a run that died has left it, or its head
 * is not published yet.
 */
async function* proveTiles(parts: TileCheckParts, head: SignedHead): AsyncGenerator<ScrubFinding> {
  const { tree } = parts;
  const database = parts.verifier.name;
  const read = async (tile: Tile) => (await tree.get(tileKey(database, tile), FULL_TILE_SIZE))?.bytes;
  const tiles = new HeadTiles(head, { read });
  const wrong = new Set<string>();
  for (let level = HIGHEST_LEVEL; level >= 0; level--) {
    let batch: Extract<TreeEntry, { kind: "tile" }>[] = [];
    const run = async () => {
      const problems = await Promise.all(
        batch.map(async ({ tile }) => await problemOf(tiles, tile, await read(tile))),
      );
      const found = batch.flatMap(({ tile, key }, at) => {
        const problem = problems[at];
        if (problem === undefined) return [];
        wrong.add(tilePath(fullTile(tile)));
        return [finding(database, key, problem, { tile: key })];
      });
      batch = [];
      return found;
    };
    for await (const { key, size } of behind(tree, `${tilesPrefix(database)}8/${level}/`)) {
      const entry = parseTreeKey(key);
      if (entry?.kind !== "tile" || size !== entry.tile.width * HASH_SIZE) continue;
      parts.progress(size);
      if (!isWithin(entry.tile, head.size) || isBelow(entry.tile, head.size, wrong)) continue;
      batch.push(entry);
      if (batch.length >= TILES_AT_ONCE) yield* await run();
    }
    yield* await run();
  }
}

async function problemOf(
  tiles: HeadTiles,
  tile: Tile,
  stored: Uint8Array | undefined,
): Promise<string | undefined> {
  if (stored === undefined) return undefined;
  const wrong = `is not what the head of ${tiles.tree.size} records has there`;
  try {
    return Buffer.compare((await tiles.read(tile)).tile.bytes, stored) === 0 ? undefined : wrong;
  } catch (thrown) {
    if (!(thrown instanceof ProofError)) throw thrown;
    // A narrower one is cut from the widest of its place, which is named itself.
    const widest = tileAt(tile.level, tile.index, tiles.tree.size);
    const other = thrown.message.includes("missing in the tree") || widest?.width !== tile.width;
    return other ? undefined : wrong;
  }
}

const isWithin = ({ level, index, width }: Tile, size: number): boolean =>
  (index * FULL_WIDTH + width) * FULL_WIDTH ** level <= size;

function isBelow(tile: Tile, size: number, wrong: ReadonlySet<string>): boolean {
  for (let at = parentTile(tile, size); at !== undefined; at = parentTile(at, size))
    if (wrong.has(tilePath(fullTile(at)))) return true;
  return false;
}

async function openHead(
  tree: Pick<Tree, "get">,
  verifier: Verifier,
): Promise<SignedHead | Error | undefined> {
  const stored = await tree.get(treeHeadKey(verifier.name), LARGEST_LOOKUP);
  try {
    return stored && openTreeHead(stored.bytes, verifier);
  } catch (thrown) {
    return asMirrorError(thrown, treeHeadKey(verifier.name));
  }
}

/** The tree's may be newer by now, never older. */
function* checkHead(
  database: string,
  promised: SignedHead,
  head: SignedHead | Error | undefined,
): Generator<ScrubFinding> {
  const found = (message: string) => finding(database, treeHeadKey(database), message, { head: true });
  if (head === undefined) yield found(`missing, although a head of ${promised.size} records is published`);
  else if (head instanceof Error) yield found(head.message);
  else if (head.size < promised.size)
    yield found(`has ${head.size} records, although a head of ${promised.size} is published`);
}

function* missingOf(
  database: string,
  extent: FilledExtent,
  size: number,
  present: PresentTiles,
): Generator<ScrubFinding> {
  const why = `missing, although all tiles (${extent}) below ${size} records are said to be held`;
  const lacks = (tile: Tile) =>
    finding(database, tileKey(database, tile), why, { tile: tileKey(database, tile) });
  for (const tile of lackingOf(extent, size, present)) yield lacks(tile);
}

/** Without its edge a head proves nothing: every client asks for it first. */
async function checkEdge(
  tree: Pick<Tree, "get">,
  database: string,
  head: SignedHead,
): Promise<readonly ScrubFinding[]> {
  const read = async (tile: Tile) => (await tree.get(tileKey(database, tile), FULL_TILE_SIZE))?.bytes;
  try {
    await new HeadTiles(head, { read }).proveEdge();
    return [];
  } catch (thrown) {
    const { message } = asMirrorError(thrown, database);
    return [finding(database, `${tilesPrefix(database)}`.slice(0, -1), message, {})];
  }
}

function finding(
  database: string,
  subject: string,
  message: string,
  repair: { readonly tile?: TreeKey; readonly head?: true },
): ScrubFinding {
  return { kind: "database", subject, message, repair: { database, ...repair } };
}
