import { FULL_WIDTH, type Tile, tileAt } from "./tile.ts";

/**
 * How many of a database's tiles a mirror holds:
 *  - `needed`: what sumdb/client.ts says, for fresh clients and those that have seen a head of this mirror.
 *  - `upper`: besides, all full tiles above level 0. Whoever adds tiles later can prove each from what is held.
 *  - `full`: every full tile, and at each published head's edge every narrower width. With that there is, for every tile
 *    of every tree up to that head, the tile itself or the full one of its place: a client verifies offline whatever
 *    older head it has seen, wherever it has seen it.
 */
export type TileExtent = "needed" | "upper" | "full";

export const TILE_EXTENTS: readonly TileExtent[] = ["needed", "upper", "full"];

/** `needed` goes by what was proven, not by size. */
export type FilledExtent = Exclude<TileExtent, "needed">;

const lowestLevel = (extent: FilledExtent): number => (extent === "full" ? 0 : 1);

/** How many full tiles a tree of `size` records has on this level. */
const fullTiles = (size: number, level: number): number => Math.floor(size / FULL_WIDTH ** (level + 1));

/** Whether a tree of `size` records has hashes on this level of tiles. */
const hasLevel = (size: number, level: number): boolean => size >= FULL_WIDTH ** level;

/** The full tiles of an extent that a tree of `to` records has and one of `from` has not; by level, then by index. */
export function* fullTilesBetween(extent: FilledExtent, from: number, to: number): Generator<Tile> {
  for (let level = lowestLevel(extent); hasLevel(to, level + 1); level++) {
    const end = fullTiles(to, level);
    for (let index = fullTiles(from, level); index < end; index++) yield { level, index, width: FULL_WIDTH };
  }
}

/** How many tiles fullTilesBetween gives from an empty tree on. */
export function countFullTiles(extent: FilledExtent, size: number): number {
  let count = 0;
  for (let level = lowestLevel(extent); hasLevel(size, level + 1); level++) count += fullTiles(size, level);
  return count;
}

/**
 * The partial tiles at the right edge of a tree of `to` records in every width up to its own, without those that a tree
 * of `from` records already gave; at most 255 a level. A client needs one of them that has seen a head in between.
 */
export function* edgeWidths(from: number, to: number): Generator<Tile> {
  for (let level = 0; hasLevel(to, level); level++) {
    const edge = tileAt(level, fullTiles(to, level), to);
    if (edge === undefined) continue;
    const before = tileAt(level, edge.index, from)?.width ?? 0;
    for (let width = before + 1; width <= edge.width; width++) yield { ...edge, width };
  }
}

/** Records under so many tiles at a time that a cursor after each is worth its write: 256 of the lowest level's tiles. */
export function extentStep(extent: FilledExtent): number {
  return FULL_WIDTH ** (lowestLevel(extent) + 2);
}
