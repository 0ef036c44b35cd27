import { FormatError } from "../gomod/format-error.ts";
import { HASH_SIZE, type Hash, MAX_TREE_SIZE, pairHash, splitStoredHashIndex } from "./tlog.ts";

/** The height of all tiles that the go command asks for (golang.org/x/mod/sumdb, Client.tileHeight). */
const TILE_HEIGHT = 8;
/** Hashes in a full tile. */
export const FULL_WIDTH = 2 ** TILE_HEIGHT;
/** Bytes of a full tile. */
export const FULL_TILE_SIZE = FULL_WIDTH * HASH_SIZE;
/** One more than the highest level that a tree of MAX_TREE_SIZE has tiles on. */
const LEVELS = Math.ceil(Math.log2(MAX_TREE_SIZE) / TILE_HEIGHT) + 1;

/**
 * A run of `width` hashes of tree level 8 × `level`, from number 256 × `index` on: the leaves of a subtree of height 8,
 * whose inner hashes follow from them (tlog, Tile). Full with 256 hashes; a narrower one is partial, at the tree's
 * right edge, and there are many of one place, one for each width.
 */
export interface Tile {
  readonly level: number;
  readonly index: number;
  /** 1 to 256. */
  readonly width: number;
}

/** A tile with its bytes: `width` × 32 of them. */
export interface ProvenTile {
  readonly tile: Tile;
  /** Proven to be in the tree of a signed head. Not to be changed: the client goes on using it. */
  readonly bytes: Uint8Array;
}

export function isFull(tile: Tile): boolean {
  return tile.width === FULL_WIDTH;
}

/** The full tile of the same place. */
export function fullTile(tile: Tile): Tile {
  return { ...tile, width: FULL_WIDTH };
}

/** A tile's path below a database's address, such as `tile/8/0/x071/x909/756.p/3` (tlog, Tile.Path). */
export function tilePath(tile: Tile): string {
  const digits = String(tile.index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g) ?? [];
  const place = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${TILE_HEIGHT}/${tile.level}/${place}${isFull(tile) ? "" : `.p/${tile.width}`}`;
}

/** Longer ones name no tile of a tree of MAX_TREE_SIZE. */
const LONGEST_PATH = 64;
const PATH = /^tile\/8\/([0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/;

/**
 * Parses a tile's path (tlog, ParseTilePath), as strictly as it: only what tilePath prints. Attacker-controlled.
 * Tiles of another height than 8, tiles of record data, and tiles that no tree of MAX_TREE_SIZE has are refused.
 * @throws FormatError when it names no tile.
 */
export function parseTilePath(path: string): Tile {
  const [, level = "", place = "", width] = (path.length <= LONGEST_PATH && PATH.exec(path)) || [];
  const tile: Tile = {
    level: Number(level),
    index: Number(place.replace(/[x/]/g, "")),
    width: width === undefined ? FULL_WIDTH : Number(width),
  };
  const records = (tile.index * FULL_WIDTH + tile.width) * FULL_WIDTH ** tile.level;
  if (
    place === "" ||
    tile.width < 1 ||
    tile.width > FULL_WIDTH ||
    !(records <= MAX_TREE_SIZE) ||
    tilePath(tile) !== path
  ) {
    throw new FormatError("tile path", `malformed tile path ${JSON.stringify(path.slice(0, LONGEST_PATH))}`);
  }
  return tile;
}

/** How many hashes tree level 8 × `level` has under a tree of `size` records. */
function levelSize(size: number, level: number): number {
  return Math.floor(size / FULL_WIDTH ** level);
}

/**
 * The tile at this place as a tree of `size` records has it, as wide as can be; undefined where it has none
 * (tlog, tileParent).
 */
export function tileAt(level: number, index: number, size: number): Tile | undefined {
  const width = Math.min(FULL_WIDTH, levelSize(size, level) - index * FULL_WIDTH);
  return width > 0 ? { level, index, width } : undefined;
}

/** The tile that a tree of `size` records has above this one; undefined at the top. */
export function parentTile(tile: Tile, size: number): Tile | undefined {
  return tileAt(tile.level + 1, Math.floor(tile.index / FULL_WIDTH), size);
}

/** What a tree has to publish when it grows from `oldSize` to `newSize` (tlog, NewTiles). */
export function newTiles(oldSize: number, newSize: number): Tile[] {
  const tiles: Tile[] = [];
  for (let level = 0; level < LEVELS; level++) {
    const count = levelSize(newSize, level);
    const oldCount = levelSize(oldSize, level);
    if (count === oldCount) continue;
    for (let index = Math.floor(oldCount / FULL_WIDTH); index * FULL_WIDTH < count; index++) {
      const tile = tileAt(level, index, newSize);
      if (tile !== undefined) tiles.push(tile);
    }
  }
  return tiles;
}

/** Where in a tile a hash lies: it is the root of the leaves `first` up to, not including, `end`. */
interface Place {
  readonly tile: Tile;
  readonly first: number;
  readonly end: number;
}

function placeOf(index: number): Place {
  const { level, n } = splitStoredHashIndex(index);
  const span = 2 ** (level % TILE_HEIGHT);
  const leaf = n * span;
  const tileIndex = Math.floor(leaf / FULL_WIDTH);
  const first = leaf - tileIndex * FULL_WIDTH;
  return {
    tile: { level: Math.floor(level / TILE_HEIGHT), index: tileIndex, width: first + span },
    first,
    end: first + span,
  };
}

/** The narrowest tile that the hash with this stored hash index can be had from (tlog, TileForIndex). */
export function tileForIndex(index: number): Tile {
  return placeOf(index).tile;
}

/**
 * The hash with this stored hash index, from its tile or a wider one of that place (tlog, HashFromTile).
 * @throws RangeError when the tile does not hold it or has too few bytes.
 */
export function hashFromTile(tile: Tile, bytes: Uint8Array, index: number): Hash {
  const place = placeOf(index);
  if (tile.level !== place.tile.level || tile.index !== place.tile.index || tile.width < place.tile.width) {
    throw new RangeError(`hash ${index} is in ${tilePath(place.tile)}, not in ${tilePath(tile)}`);
  }
  if (bytes.length < tile.width * HASH_SIZE) throw new RangeError(`${tilePath(tile)} has too few bytes`);
  return rootOfLeaves(bytes.subarray(place.first * HASH_SIZE, place.end * HASH_SIZE));
}

/** The root over a power of two of hashes that lie side by side (tlog, tileHash). */
export function rootOfLeaves(bytes: Uint8Array): Hash {
  if (bytes.length === HASH_SIZE) return bytes;
  // Level by level in one buffer: a tile has 255 nodes, and a Buffer for each costs five times its hash.
  const level = Buffer.from(bytes);
  for (let count = bytes.length / HASH_SIZE / 2; count >= 1; count /= 2)
    for (let at = 0; at < count; at++) {
      const pair = level.subarray(2 * at * HASH_SIZE, 2 * (at + 1) * HASH_SIZE);
      level.write(pairHash(pair), at * HASH_SIZE, "latin1");
    }
  return Buffer.from(level.subarray(0, HASH_SIZE));
}
