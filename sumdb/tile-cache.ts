import { FormatError } from "../gomod/format-error.ts";
import { ProofError } from "./proof-error.ts";
import type { SumdbSource, TileStore } from "./source.ts";
import { fullTile, isFull, type Tile, tilePath } from "./tile.ts";
import { HASH_SIZE } from "./tlog.ts";

/** Bytes of tiles kept in memory: 8,192 full tiles, which hold the hashes of two million records. */
export const TILE_CACHE_SIZE = 64 * 1024 * 1024;

interface Entry {
  readonly bytes: Promise<Uint8Array>;
  /** 0 while it is under way; only what has arrived can be evicted. */
  size: number;
  /** Whether our own tree has it. */
  stored: boolean;
}

/**
 * Reads tiles from memory, our own tree, or the source, in that order. One request serves all who ask at once, and what
 * was read is kept, least recently used out first. The bytes have the right length and are otherwise NOT proven: only
 * TileHashReader reads from here.
 */
export class TileCache {
  readonly #store: TileStore;
  readonly #source: Pick<SumdbSource, "tile"> | undefined;
  readonly #limit: number;
  /** By tile path; in the order of last use. */
  readonly #entries = new Map<string, Entry>();
  #held = 0;

  /** @param source without one, a tile that the store lacks is an error. */
  constructor(store: TileStore, source: Pick<SumdbSource, "tile"> | undefined, limit = TILE_CACHE_SIZE) {
    this.#store = store;
    this.#source = source;
    this.#limit = limit;
  }

  /**
   * @returns bytes that nobody else holds: one object for one tile, as long as it stays in memory.
   * @throws FormatError when the length is wrong; ProofError `tiles` when there is no such tile and no source;
   * else what the source throws. Nothing of a failure is kept.
   */
  read(tile: Tile): Promise<Uint8Array> {
    const path = tilePath(tile);
    const known = this.#entries.get(path);
    if (known !== undefined) {
      this.#entries.delete(path);
      this.#entries.set(path, known);
      return known.bytes;
    }
    const loading = this.#load(tile);
    const entry: Entry = { bytes: loading.then(({ bytes }) => bytes), size: 0, stored: false };
    this.#entries.set(path, entry);
    loading.then(
      ({ bytes, stored }) => {
        entry.stored ||= stored;
        if (this.#entries.get(path) !== entry) return;
        entry.size = bytes.length;
        this.#held += bytes.length;
        this.#evict();
      },
      () => {
        if (this.#entries.get(path) === entry) this.#entries.delete(path);
      },
    );
    return entry.bytes;
  }

  /** Forgets tiles that proved nothing, with the full ones they may be cut from, so that they are asked for again. */
  drop(tiles: readonly Tile[]): void {
    for (const tile of tiles) {
      this.#remove(tilePath(tile));
      this.#remove(tilePath(fullTile(tile)));
    }
  }

  /** Whether our tree is known to have this tile, or the full one that a client takes in its place. */
  isStored(tile: Tile): boolean {
    return this.#entries.get(tilePath(tile))?.stored ?? false;
  }

  markStored(tile: Tile): void {
    const entry = this.#entries.get(tilePath(tile));
    if (entry !== undefined) entry.stored = true;
  }

  async #load(tile: Tile): Promise<{ bytes: Uint8Array; stored: boolean }> {
    const exact = await this.#store.read(tile);
    if (exact !== undefined) return { bytes: checkLength(tile, exact), stored: true };
    if (!isFull(tile)) {
      const full = await this.#store.read(fullTile(tile));
      if (full !== undefined) return { bytes: cut(checkLength(fullTile(tile), full), tile), stored: true };
    }
    if (this.#source === undefined) {
      throw new ProofError(
        "tiles",
        tilePath(tile),
        `${tilePath(tile)} is missing in the tree; remove the lookup that needs it and sync its module again`,
      );
    }
    return { bytes: await this.#fetch(this.#source, tile), stored: false };
  }

  async #fetch(source: Pick<SumdbSource, "tile">, tile: Tile): Promise<Uint8Array> {
    let bytes: Uint8Array;
    try {
      bytes = await source.tile(tile);
    } catch (error) {
      if (isFull(tile)) throw error;
      // A database may have filled the tile since, and dropped its narrower states (x/mod, Client.readTile).
      const full = await this.read(fullTile(tile)).catch(() => undefined);
      if (full === undefined) throw error;
      return cut(full, tile);
    }
    return checkLength(tile, bytes);
  }

  #evict(): void {
    for (const [path, entry] of this.#entries) {
      if (this.#held <= this.#limit) return;
      if (entry.size > 0) this.#remove(path);
    }
  }

  #remove(path: string): void {
    this.#held -= this.#entries.get(path)?.size ?? 0;
    this.#entries.delete(path);
  }
}

/** A copy that nobody else can change after it is proven. */
function checkLength(tile: Tile, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== tile.width * HASH_SIZE) {
    const path = tilePath(tile);
    throw new FormatError(path, `${path} has ${bytes.length} bytes; it must have ${tile.width * HASH_SIZE}`);
  }
  return new Uint8Array(bytes);
}

function cut(full: Uint8Array, tile: Tile): Uint8Array {
  return new Uint8Array(full.subarray(0, tile.width * HASH_SIZE));
}
