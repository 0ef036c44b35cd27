import type { TileStore } from "../sumdb/client.ts";
import { FULL_TILE_SIZE, type ProvenTile, type Tile } from "../sumdb/tile.ts";
import { sha256Of } from "./body.ts";
import type { Tree } from "./ports.ts";
import { type TreeKey, tileKey } from "./tree-keys.ts";

/** The tiles of one checksum database in the tree. Stored once, a tile never changes. */
export class DatabaseTiles implements TileStore {
  readonly #database: string;
  readonly #tree: Tree;
  /** Tiles that are being stored or are stored by this process, so that each is written once. */
  readonly #stored = new Map<TreeKey, Promise<void>>();

  constructor(database: string, tree: Tree) {
    this.#database = database;
    this.#tree = tree;
  }

  async read(tile: Tile): Promise<Uint8Array | undefined> {
    return (await this.#tree.get(tileKey(this.#database, tile), FULL_TILE_SIZE))?.bytes;
  }

  /** Stores what this process has not stored yet, and remembers it. Durable on return. */
  async store(tiles: readonly ProvenTile[]): Promise<void> {
    await Promise.all(tiles.map((tile) => this.#storeOnce(tile)));
  }

  /** The same for tiles that are many, and that the caller stores once each: none is remembered. */
  async create(tiles: readonly ProvenTile[]): Promise<void> {
    await Promise.all(tiles.map((tile) => this.#create(tile)));
  }

  #storeOnce(tile: ProvenTile): Promise<void> {
    const key = tileKey(this.#database, tile.tile);
    const known = this.#stored.get(key);
    if (known !== undefined) return known;
    const storing = this.#create(tile);
    this.#stored.set(key, storing);
    storing.catch(() => this.#stored.delete(key));
    return storing;
  }

  /** `exists` is as good as `created`: whoever stored it had proven it, and a tile's bytes follow from its path. */
  async #create({ tile, bytes }: ProvenTile): Promise<void> {
    await this.#tree.create(tileKey(this.#database, tile), bytes, sha256Of(bytes));
  }
}
