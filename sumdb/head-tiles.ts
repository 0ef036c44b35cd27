import type { SumdbSource, TileStore } from "./source.ts";
import { FULL_WIDTH, type ProvenTile, type Tile, tileAt, tilePath } from "./tile.ts";
import { TileCache } from "./tile-cache.ts";
import { TileHashReader } from "./tile-hash-reader.ts";
import { HASH_SIZE, storedHashIndex, type TreeHead } from "./tlog.ts";

/** Bytes of tiles kept in memory: 1,024 full ones; the edge and one path are a dozen. */
const CACHE_SIZE = 8 * 1024 * 1024;

/** A tile of a signed tree, and what proves it. */
export interface HeadTile {
  /** As asked: where the tree has a wider one of that place, cut from it. */
  readonly tile: ProvenTile;
  /** The place's widest tile and all above it up to the head that were not in the store when they were read. */
  readonly notStored: readonly ProvenTile[];
}

/** Reads whole tiles of one signed tree; each is proven up to the tree's hash before it is given out. */
export class HeadTiles {
  readonly tree: TreeHead;
  readonly #cache: TileCache;
  readonly #reader: TileHashReader;

  /** @param source without one, only what the store holds can be read. */
  constructor(tree: TreeHead, store: TileStore, source?: Pick<SumdbSource, "tile">) {
    this.tree = tree;
    this.#cache = new TileCache(store, source, CACHE_SIZE);
    this.#reader = new TileHashReader(tree, this.#cache);
  }

  /**
   * @throws RangeError for a tile beyond the tree; ProofError `tiles` when what was read does not add up to the head, or
   * is missing and there is no source; FormatError for a wrong length; else what the source throws.
   */
  async read(tile: Tile): Promise<HeadTile> {
    const widest = tileAt(tile.level, tile.index, this.tree.size);
    if (widest === undefined || tile.width > widest.width)
      throw new RangeError(`${tilePath(tile)} reaches beyond a tree of ${this.tree.size}`);
    // The first hash in it: the reader then reads and proves the tile, as wide as it is.
    const first = storedHashIndex(8 * tile.level, tile.index * FULL_WIDTH);
    const { tiles } = await this.#reader.read([first]);
    const path = tilePath(widest);
    const found = tiles.find((read) => tilePath(read.tile) === path);
    if (found === undefined) throw new RangeError(`${path} was not read`);
    const bytes = found.bytes.subarray(0, tile.width * HASH_SIZE);
    return { tile: { tile, bytes }, notStored: tiles.filter((read) => !this.#cache.isStored(read.tile)) };
  }

  /** Proves the right edge alone, which every other proof begins with. @throws as `read`. */
  async proveEdge(): Promise<void> {
    await this.#reader.read([]);
  }

  /** To be told of tiles once they are durably in the store. */
  stored(tiles: Iterable<Tile>): void {
    for (const tile of tiles) this.#cache.markStored(tile);
  }
}
