import pLimit from "p-limit";
import { HeadTiles } from "../sumdb/head-tiles.ts";
import type { SumdbSource, TileStore } from "../sumdb/source.ts";
import { isFull, type ProvenTile, type Tile } from "../sumdb/tile.ts";
import {
  countFullTiles,
  edgeWidths,
  extentStep,
  type FilledExtent,
  fullTilesBetween,
  type TileExtent,
} from "../sumdb/tile-extent.ts";
import { parseDecimal, type SignedHead } from "../sumdb/tree-head.ts";
import { type Deadline, noDeadline, TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import type { Watermark } from "./ledger-entries.ts";
import type { Ledger } from "./ports.ts";
import { withinTime } from "./within-time.ts";

/** Tiles asked for at a time: what one client with 64 go commands asks of a database. */
const TILES_AT_ONCE = 64;
/** As many are filled in passing, when a head is published; more is the work of a tick or of `modferry sync`. */
const MOST_IN_PASSING = 512;

export interface TileFillingParts {
  readonly database: string;
  readonly extent: TileExtent;
  readonly source: Pick<SumdbSource, "tile">;
  readonly store: TileStore;
  /** Stores tiles create-only; they are durable when it returns. */
  readonly storeTiles: (tiles: readonly ProvenTile[]) => Promise<void>;
  readonly ledger: Ledger;
  readonly report: Report;
}

/** How far the tiles of an extent are held. */
export interface Filled {
  /** All of them are, as a head of so many records has them; 0 when they never were. */
  readonly size: number;
  /** On the way to a larger head: all full tiles that a tree of so many records has. At least `size`. */
  readonly reached: number;
}

/** The name of the watermark that says how far the tiles are held (Filled): `timestamp` is its size, `cursor` reached. */
export const tilesFeed = (database: string, extent: FilledExtent): string => `tiles/${database}/${extent}`;

/** @throws MirrorError malformed when the watermark is none of ours. */
export async function readFilled(
  ledger: Pick<Ledger, "readWatermark">,
  database: string,
  extent: FilledExtent,
): Promise<Filled & { readonly revision: number }> {
  const feed = tilesFeed(database, extent);
  const watermark = await ledger.readWatermark(feed);
  if (watermark === undefined) return { size: 0, reached: 0, revision: 0 };
  const [size, reached] = [watermark.timestamp, watermark.cursor ?? watermark.timestamp].map((text) =>
    parseDecimal(text, Number.MAX_SAFE_INTEGER),
  );
  if (size === undefined || reached === undefined)
    throw new MirrorError("malformed", feed, `${feed}: its watermark in the ledger is damaged; remove it`);
  return { size, reached, revision: watermark.revision };
}

/**
 * Holds all tiles of an extent (sumdb/tile-extent.ts), as the tree grows. Step by step along the records: the tiles of a
 * step are read from our own tree or else the source, each proven under the head, stored create-only; then the
 * watermark moves. A crash leaves tiles that the next run finds there; several workers at once do the same twice.
 */
export class TileFilling {
  readonly #parts: TileFillingParts;

  constructor(parts: TileFillingParts) {
    this.#parts = parts;
  }

  /** Whether all tiles were once held up to some head: from then on each head is filled before it is published. */
  async begun(): Promise<boolean> {
    const { extent, ledger, database } = this.#parts;
    return extent === "needed" || (await readFilled(ledger, database, extent)).size > 0;
  }

  /** Whether all tiles are held that a tree of `size` records has. */
  async isFilled(size: number): Promise<boolean> {
    const { extent, ledger, database } = this.#parts;
    return extent === "needed" || (await readFilled(ledger, database, extent)).size >= size;
  }

  /**
   * Fills up to a head that is about to be published, where little is missing.
   * @returns whether all is there.
   */
  async fillInPassing(head: SignedHead): Promise<boolean> {
    const { extent, ledger, database } = this.#parts;
    if (extent === "needed") return true;
    const { reached } = await readFilled(ledger, database, extent);
    const missing = countFullTiles(extent, head.size) - countFullTiles(extent, reached);
    return missing <= MOST_IN_PASSING ? await this.fill(head, noDeadline) : await this.isFilled(head.size);
  }

  /**
   * Fills up to a head whose own edge is stored and which contains every published one, or as far as time allows.
   * @returns whether all is there.
   * @throws MirrorError malformed when what the source sends is not the head's; transient when it lacks a tile or does
   * not answer. What was filled before stays, and the next call goes on there.
   */
  async fill(head: SignedHead, deadline: Deadline): Promise<boolean> {
    const { extent, ledger, database, store, source, report } = this.#parts;
    if (extent === "needed") return true;
    const tiles = new HeadTiles(head, store, source);
    for (;;) {
      const filled = await readFilled(ledger, database, extent);
      if (filled.size >= head.size) return true;
      if (deadline.remaining() < TIME_TO_CLOSE) return false;
      const step = extentStep(extent);
      const next = Math.min(head.size, (Math.floor(filled.reached / step) + 1) * step);
      const last = next === head.size;
      const wanted = [
        ...fullTilesBetween(extent, filled.reached, next),
        ...(last && extent === "full" ? edgeWidths(filled.size, next) : []),
      ];
      await withinTime(this.#hold(tiles, wanted), deadline, database);
      const mark = { feed: tilesFeed(database, extent), revision: filled.revision };
      const size = last ? next : filled.size;
      await ledger.moveWatermark(moved(mark, { size, reached: Math.max(filled.reached, next) }));
      const [held, of] = [next, head.size].map((size) => countFullTiles(extent, size)) as [number, number];
      if (wanted.length > 0) report({ event: "tiles", database, extent, held, of });
    }
  }

  /**
   * Gets again whatever is missing of what is said to be held, such as tiles that a disk has lost or that were removed
   * because they were damaged; all are read and proven.
   * @throws MirrorError as `fill`.
   */
  async refill(head: SignedHead): Promise<void> {
    const { extent, ledger, database, store, source, report } = this.#parts;
    if (extent === "needed") return;
    // A run that died between filling and publishing leaves more than a published head can prove.
    const end = Math.min(head.size, (await readFilled(ledger, database, extent)).size);
    const tiles = new HeadTiles(head, store, source);
    const of = countFullTiles(extent, end);
    for (let from = 0; from < end; from += extentStep(extent)) {
      const to = Math.min(end, from + extentStep(extent));
      const edge = to === end && extent === "full" ? edgeWidths(0, end) : [];
      await this.#hold(tiles, [...fullTilesBetween(extent, from, to), ...edge]);
      report({ event: "tiles", database, extent, held: countFullTiles(extent, to), of });
    }
  }

  /** The first that cannot be had ends it; what runs beside it comes to its end. */
  async #hold(tiles: HeadTiles, wanted: readonly Tile[]): Promise<void> {
    const limit = pLimit(TILES_AT_ONCE);
    let stopped = false;
    const results = await Promise.allSettled(
      wanted.map((tile) =>
        limit(async () => {
          if (stopped) return;
          try {
            const read = await tiles.read(tile);
            // A narrower one is cut, so the reader does not know whether it is there; creating it again does nothing.
            await this.#parts.storeTiles(isFull(tile) ? read.notStored : [...read.notStored, read.tile]);
            tiles.stored(read.notStored.map((proven) => proven.tile));
          } catch (error) {
            stopped = true;
            throw error;
          }
        }),
      ),
    );
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw this.#explained(failed.reason);
  }

  #explained(thrown: unknown): MirrorError {
    const { database, extent } = this.#parts;
    const error = asMirrorError(thrown, database);
    const remedy =
      "the source must serve all tiles: name one that does with --sumdb, or hold fewer with --tiles needed";
    if (!isLack(error)) return error;
    return new MirrorError("transient", database, `${error.message}; for tiles "${extent}" ${remedy}`, {
      cause: error,
    });
  }
}

/** The source answered that it does not have a tile (checksum-database.ts makes that a fault of the source). */
function isLack(error: MirrorError): boolean {
  const of = error.cause instanceof MirrorError ? error.cause : error;
  return of.class === "absent" || of.class === "withheld";
}

/** Never back: another worker may be on its way to a larger head. */
function moved(mark: Pick<Watermark, "feed" | "revision">, { size, reached }: Filled): Watermark {
  return { ...mark, timestamp: String(size), ...(reached > size ? { cursor: String(reached) } : {}) };
}
