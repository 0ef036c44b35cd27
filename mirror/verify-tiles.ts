import { HeadTiles } from "../sumdb/head-tiles.ts";
import type { Verifier } from "../sumdb/note.ts";
import {
  FULL_TILE_SIZE,
  FULL_WIDTH,
  fullTile,
  isFull,
  parentTile,
  type Tile,
  tileAt,
  tilePath,
} from "../sumdb/tile.ts";
import { edgeWidths, type FilledExtent, fullTilesBetween } from "../sumdb/tile-extent.ts";
import { HASH_SIZE } from "../sumdb/tlog.ts";
import { openTreeHead, type SignedHead } from "../sumdb/tree-head.ts";
import { asMirrorError } from "./errors.ts";
import type { Ledger, Tree } from "./ports.ts";
import { readFilled } from "./tile-filling.ts";
import { type TreeEntry, tileKey, treeHeadKey } from "./tree-keys.ts";
import type { Seen } from "./verify-seen.ts";

const LARGEST_HEAD = 1_000_000;
/** A tree that has lost a folder of tiles says so in a few lines. */
const MOST_NAMED = 20;

/** Proves the tiles of one database's part of a tree against the newest head in it. */
export class TileVerifier {
  readonly #database: string;
  readonly #tree: Pick<Tree, "get">;
  readonly #seen: Seen;
  readonly #head: SignedHead | undefined;
  #tiles: HeadTiles | undefined;
  /** One damaged tile breaks the proof of all below it: it is named once. */
  readonly #said = new Set<string>();

  private constructor(database: string, tree: Pick<Tree, "get">, seen: Seen, head: SignedHead | undefined) {
    this.#database = database;
    this.#tree = tree;
    this.#seen = seen;
    this.#head = head;
    const read = async (tile: Tile) => await this.#read(tile);
    this.#tiles = head === undefined ? undefined : new HeadTiles(head, { read });
  }

  static async open(tree: Pick<Tree, "get">, verifier: Verifier, seen: Seen): Promise<TileVerifier> {
    const stored = await tree.get(treeHeadKey(verifier.name), LARGEST_HEAD);
    let head: SignedHead | undefined;
    try {
      head = stored && openTreeHead(stored.bytes, verifier);
    } catch {
      // Found where the head itself is read.
    }
    const opened = new TileVerifier(verifier.name, tree, seen, head);
    await opened.#proveEdge();
    return opened;
  }

  /** Without it nothing else can be proven: what is wrong with it is said once. */
  async #proveEdge(): Promise<void> {
    try {
      await this.#tiles?.proveEdge();
    } catch (thrown) {
      const { message } = asMirrorError(thrown, this.#database);
      this.#found(`sumdb/${this.#database}/tile`, `${message}; ${REMEDY}`);
      this.#tiles = undefined;
    }
  }

  /**
   * Its size; and its bytes, where the tree holds what proves them. What it does not hold that for, nobody reads: a
   * run that died has left it, or its head is not published yet.
   */
  async verify({ tile, key }: Extract<TreeEntry, { kind: "tile" }>): Promise<void> {
    const size = this.#seen.keys.get(key);
    if (size !== tile.width * HASH_SIZE) {
      this.#found(key, `has ${size} bytes instead of ${tile.width * HASH_SIZE}; ${REMEDY}`);
      return;
    }
    if (this.#tiles === undefined || this.#head === undefined || !this.#provable(tile, this.#head.size))
      return;
    try {
      const proven = (await this.#tiles.read(tile)).tile.bytes;
      const stored = await this.#read(tile);
      if (stored === undefined || Buffer.compare(stored, proven) === 0) return;
      this.#found(key, `is not what the head of ${this.#head.size} records has there; ${REMEDY}`);
    } catch (thrown) {
      const { message } = asMirrorError(thrown, key);
      if (this.#said.has(message)) return;
      this.#said.add(message);
      this.#found(
        message.includes(tilePath(tile)) ? key : `sumdb/${this.#database}`,
        `${message}; ${REMEDY}`,
      );
    }
  }

  /** What the ledger said is held: all full tiles of the extent, and in `full` each width at the edge. */
  verifyExtents(extents: Extents): void {
    for (const [extent, size] of extents.get(this.#database) ?? []) {
      const missing: string[] = [];
      for (const tile of needed(extent, size)) {
        const key = tileKey(this.#database, tile);
        const held = this.#seen.keys.has(key) || this.#seen.keys.has(tileKey(this.#database, fullTile(tile)));
        if (!held) missing.push(key);
      }
      const why = `missing, although all tiles (${extent}) below ${size} records are said to be held`;
      for (const key of missing.slice(0, MOST_NAMED)) this.#found(key, `${why}; ${REFILL}`);
      const more = missing.length - MOST_NAMED;
      if (more > 0) this.#found(`sumdb/${this.#database}/tile`, `${more} more tiles are ${why}; ${REFILL}`);
    }
  }

  #found(subject: string, message: string): void {
    this.#seen.findings.push({ subject, message });
  }

  async #read(tile: Tile): Promise<Uint8Array | undefined> {
    return (await this.#tree.get(tileKey(this.#database, tile), FULL_TILE_SIZE))?.bytes;
  }

  /** Whether the tree holds the tile of this place as the head has it, and all above. */
  #provable(tile: Tile, size: number): boolean {
    if ((tile.index * FULL_WIDTH + tile.width) * FULL_WIDTH ** tile.level > size) return false;
    const has = (wanted: Tile) => this.#seen.keys.has(tileKey(this.#database, wanted));
    for (let at = tileAt(tile.level, tile.index, size); at !== undefined; at = parentTile(at, size))
      if (!has(at) && (isFull(at) || !has(fullTile(at)))) return false;
    return true;
  }
}

/** By database: up to which tree size all tiles of an extent are held. */
export type Extents = ReadonlyMap<string, ReadonlyMap<FilledExtent, number>>;

/** Taken before the tree is read: what the ledger held then, the tree must show, even while a sync goes on. */
export async function readExtents(ledger: Ledger, verifiers: readonly Verifier[]): Promise<Extents> {
  const extents = new Map<string, Map<FilledExtent, number>>();
  for (const { name } of verifiers) {
    const sizes = new Map<FilledExtent, number>();
    for (const extent of ["upper", "full"] as const)
      sizes.set(extent, (await readFilled(ledger, name, extent)).size);
    extents.set(name, sizes);
  }
  return extents;
}

const REMEDY = "remove it; `modferry sync --refill-tiles` or a connected `modferry serve` gets it again";
const REFILL = "`modferry sync --refill-tiles` gets them again";

function* needed(extent: FilledExtent, size: number): Generator<Tile> {
  yield* fullTilesBetween(extent, 0, size);
  if (extent === "full") yield* edgeWidths(0, size);
}
