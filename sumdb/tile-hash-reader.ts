import { ProofError } from "./proof-error.ts";
import {
  FULL_WIDTH,
  hashFromTile,
  isFull,
  type ProvenTile,
  parentTile,
  rootOfLeaves,
  type Tile,
  tileAt,
  tileForIndex,
  tilePath,
} from "./tile.ts";
import type { TileCache } from "./tile-cache.ts";
import {
  EMPTY_TREE_HASH,
  HASH_SIZE,
  type Hash,
  hashesEqual,
  joinSubtrees,
  storedHashIndex,
  subtreeIndexes,
  type TreeHead,
} from "./tlog.ts";

/** The tiles of one reading: parents before children, those of the tree's right edge first. */
interface Plan {
  readonly tiles: readonly Tile[];
  /** Where in `tiles` the tile of this path is. */
  readonly position: ReadonlyMap<string, number>;
  /** How many of `tiles` the tree hash is computed from. */
  readonly edgeTiles: number;
}

/**
 * Reads hashes of one tree from its tiles, and proves every tile up to the tree's hash before a hash of any of them is
 * given out (golang.org/x/mod/sumdb/tlog, TileHashReader): the partial tiles of the right edge together make up the
 * tree hash; each further tile is full, and its root stands in the tile above it.
 *
 * ALL tiles are checked that are no edge tiles, counted by tiles. Counting by the subtrees of the edge, of which one
 * tile holds several, leaves out the first tiles after the edge: CVE-2026-56865.
 */
export class TileHashReader {
  readonly tree: TreeHead;
  readonly #cache: TileCache;
  /** The very byte arrays that were proven for this tree; they are the cache's own and never change. */
  readonly #proven = new WeakSet<Uint8Array>();
  readonly #edge: readonly number[];

  constructor(tree: TreeHead, cache: TileCache) {
    this.tree = tree;
    this.#cache = cache;
    this.#edge = subtreeIndexes(0, tree.size);
  }

  /**
   * Reads hashes by stored hash index; with none, it proves the right edge alone.
   * @returns the hashes in order, and all tiles that a go client reads for them, proven.
   * @throws RangeError for an index beyond the tree; ProofError `tiles` when the tiles do not add up, after which they
   * are forgotten; else what TileCache throws.
   */
  async read(indexes: readonly number[]): Promise<{ hashes: Hash[]; tiles: ProvenTile[] }> {
    const plan = this.#plan(indexes);
    const bytes = await Promise.all(plan.tiles.map((tile) => this.#cache.read(tile)));
    const tiles = plan.tiles.map((tile, i): ProvenTile => ({ tile, bytes: bytes[i] ?? new Uint8Array() }));
    const culprits = this.#unproven(plan, tiles);
    if (culprits.length > 0) {
      this.#cache.drop(culprits);
      const names = culprits.map(tilePath).join(", ");
      const message = `tiles do not add up to the signed tree of ${this.tree.size} records: of ${names} at least one is wrong`;
      throw new ProofError("tiles", `tree of ${this.tree.size}`, message);
    }
    for (const { bytes: proven } of tiles) this.#proven.add(proven);
    const hashes = indexes.map((index) => this.#hash(plan, tiles, index));
    return { hashes, tiles };
  }

  /** As tlog's HashReader. */
  async hashes(indexes: readonly number[]): Promise<readonly Hash[]> {
    return (await this.read(indexes)).hashes;
  }

  #plan(indexes: readonly number[]): Plan {
    const tiles: Tile[] = [];
    const position = new Map<string, number>();
    const add = (tile: Tile) => {
      position.set(tilePath(tile), tiles.length);
      tiles.push(tile);
    };
    for (const index of this.#edge) {
      const tile = this.#tileOf(index);
      if (!position.has(tilePath(tile))) add(tile);
    }
    const edgeTiles = tiles.length;
    const end = storedHashIndex(0, this.tree.size);
    for (const index of indexes) {
      if (!(index >= 0 && index < end))
        throw new RangeError(`no hash ${index} in a tree of ${this.tree.size}`);
      const missing: Tile[] = [];
      for (
        let tile: Tile | undefined = this.#tileOf(index);
        tile !== undefined && !position.has(tilePath(tile));
      ) {
        // A partial tile is at the edge, and so in the plan: what is missing is full and has a parent.
        if (!isFull(tile))
          throw new RangeError(`${tilePath(tile)} is not at the edge of a tree of ${this.tree.size}`);
        missing.push(tile);
        tile = parentTile(tile, this.tree.size);
      }
      missing.reverse().forEach(add);
    }
    return { tiles, position, edgeTiles };
  }

  #tileOf(index: number): Tile {
    const narrowest = tileForIndex(index);
    const tile = tileAt(narrowest.level, narrowest.index, this.tree.size);
    if (tile === undefined) throw new RangeError(`no hash ${index} in a tree of ${this.tree.size}`);
    return tile;
  }

  /** The tiles among which the culprit is; none when all are proven. */
  #unproven(plan: Plan, tiles: readonly ProvenTile[]): Tile[] {
    const edge = tiles.slice(0, plan.edgeTiles);
    if (this.#edge.length === 0 || edge.some(({ bytes }) => !this.#proven.has(bytes))) {
      const hashes = this.#edge.map((index) => this.#hash(plan, tiles, index));
      const root = hashes.length === 0 ? EMPTY_TREE_HASH : joinSubtrees(hashes);
      if (!hashesEqual(root, this.tree.hash)) return plan.tiles.slice();
    }
    // Parents come first: whoever reaches a child has its parent proven.
    for (const { tile, bytes } of tiles.slice(plan.edgeTiles)) {
      if (this.#proven.has(bytes)) continue;
      const parent = this.#parent(plan, tiles, tile);
      const at = (tile.index - parent.tile.index * FULL_WIDTH) * HASH_SIZE;
      if (!hashesEqual(rootOfLeaves(bytes), parent.bytes.subarray(at, at + HASH_SIZE))) return [tile];
    }
    return [];
  }

  #parent(plan: Plan, tiles: readonly ProvenTile[], tile: Tile): ProvenTile {
    const parent = parentTile(tile, this.tree.size);
    const found = parent && tiles[plan.position.get(tilePath(parent)) ?? -1];
    if (found === undefined)
      throw new RangeError(`${tilePath(tile)} has no parent in a tree of ${this.tree.size}`);
    return found;
  }

  #hash(plan: Plan, tiles: readonly ProvenTile[], index: number): Hash {
    const found = tiles[plan.position.get(tilePath(this.#tileOf(index))) ?? -1];
    if (found === undefined) throw new RangeError(`no tile was read for hash ${index}`);
    return hashFromTile(found.tile, found.bytes, index);
  }
}
