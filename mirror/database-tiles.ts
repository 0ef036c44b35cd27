import type { TileStore } from "../sumdb/client.ts";
import { FULL_TILE_SIZE, type ProvenTile, type Tile } from "../sumdb/tile.ts";
import { sha256Of } from "./body.ts";
import { sha256OfObject } from "./object-sha256.ts";
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

  /** Stores it in the place of one that is not the same. Between the two a crash leaves none: it is asked for again. */
  async restore(tile: ProvenTile): Promise<void> {
    const key = tileKey(this.#database, tile.tile);
    const stored = await this.#tree.open(key);
    const same = stored !== undefined && (await sha256OfObject(stored)) === sha256Of(tile.bytes);
    await stored?.close();
    if (stored !== undefined && !same) await this.#tree.remove(key, stored.etag);
    if (!same) await this.#create(tile);
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
