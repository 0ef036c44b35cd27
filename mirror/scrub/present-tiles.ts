import { fullTile, isFull, type Tile } from "../../sumdb/tile.ts";
import { edgeWidths, type FilledExtent, fullTilesBetween } from "../../sumdb/tile-extent.ts";
import type { Tree } from "../ports.ts";

/** All keys of a database's tiles, and no others, begin so. */
export const tilesPrefix = (database: string): string => `sumdb/${database}/tile/`;

/** The keys that begin with `prefix`. */
export async function* behind(tree: Pick<Tree, "keys">, prefix: string) {
  for await (const entry of tree.keys(prefix)) {
    if (!entry.key.startsWith(prefix)) return;
    yield entry;
  }
}

/** The tiles that an extent of a tree of `size` records has, and that are not there. */
export function* lackingOf(extent: FilledExtent, size: number, present: PresentTiles): Generator<Tile> {
  for (const tile of fullTilesBetween(extent, 0, size)) if (!present.has(tile)) yield tile;
  if (extent !== "full") return;
  for (const tile of edgeWidths(0, size)) if (!present.has(tile) && !present.has(fullTile(tile))) yield tile;
}

/** Which full tiles were seen, one bit each; and the partial ones, which are some thousands. */
export class PresentTiles {
  readonly #levels: Uint8Array[] = [];
  readonly #partial = new Map<string, Set<number>>();

  add({ level, index, width }: Tile): void {
    if (!isFull({ level, index, width })) {
      const place = `${level}/${index}`;
      const widths = this.#partial.get(place) ?? new Set<number>();
      this.#partial.set(place, widths.add(width));
      return;
    }
    const at = Math.floor(index / 8);
    let bits = this.#levels[level] ?? new Uint8Array(1024);
    if (at >= bits.byteLength) {
      const grown = new Uint8Array(2 * (at + 1));
      grown.set(bits);
      bits = grown;
    }
    bits[at] = (bits[at] ?? 0) | (1 << (index % 8));
    this.#levels[level] = bits;
  }

  has({ level, index, width }: Tile): boolean {
    if (!isFull({ level, index, width })) return this.#partial.get(`${level}/${index}`)?.has(width) ?? false;
    const bits = this.#levels[level];
    return bits !== undefined && ((bits[Math.floor(index / 8)] ?? 0) & (1 << (index % 8))) !== 0;
  }
}
