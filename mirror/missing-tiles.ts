import { HeadTiles } from "../sumdb/head-tiles.ts";
import type { SumdbSource } from "../sumdb/source.ts";
import { FULL_TILE_SIZE, isFull, type ProvenTile, type Tile, tileAt, tilePath } from "../sumdb/tile.ts";
import type { SignedHead } from "../sumdb/tree-head.ts";
import { sha256Of } from "./body.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Clock, Tree } from "./ports.ts";
import { tileKey } from "./tree-keys.ts";

/** Tiles fetched at a time: each reads a dozen tiles of 8 KiB at most. */
const TILES_AT_ONCE = 16;
/** How long a failure is answered without asking again, in ms. */
const FAILURE_REMEMBERED = 30_000;
/** Paths are short; that many failures in half a minute are an attack, and the oldest are forgotten. */
const MOST_FAILURES = 1_000;
/** How long a client waits, in ms: a gateway gives up after 29 s (AWS), and two look-ups of ours come before. */
const PATIENCE = 10_000;
/** Where too much is asked at once, in ms. */
const BUSY_WAIT = 5_000;

export interface MissingTilesParts {
  readonly database: string;
  readonly source: Pick<SumdbSource, "tile">;
  readonly tree: Pick<Tree, "get" | "create">;
  readonly now: Clock;
}

/**
 * Gets tiles that the tree lacks, for an endpoint that has an upstream: fetched, proven under our head, stored
 * create-only. Only tiles inside the head's tree are asked for, each by one request at a time, few at once, and none
 * again that failed just now: a client can make this mirror fetch no more than the database has.
 */
export class MissingTiles {
  readonly #parts: MissingTilesParts;
  /** Of the newest head that was asked about. */
  #tiles: HeadTiles | undefined;
  readonly #underWay = new Map<string, Promise<void>>();
  /** By tile path, oldest first. */
  readonly #failures = new Map<string, { readonly until: number; readonly error: MirrorError }>();

  constructor(parts: MissingTilesParts) {
    this.#parts = parts;
  }

  /**
   * Stores a tile that a tree of `head` has.
   * @returns `stored`: it can be read now. `absent`: the source does not have it, or it is a partial one of a place that
   * has been filled since: a client asks for the full tile then, and nothing narrower is kept.
   * @throws MirrorError with `retryAfter` when the source does not answer, sends what is not the head's, or too much is
   * asked at once.
   */
  async get(tile: Tile, head: SignedHead): Promise<"stored" | "absent"> {
    const widest = tileAt(tile.level, tile.index, head.size);
    if (widest === undefined || (!isFull(tile) && isFull(widest))) return "absent";
    const path = tilePath(tile);
    const failure = this.#failures.get(path);
    if (failure !== undefined && failure.until > this.#parts.now()) return answerOf(failure.error);
    try {
      await within(this.#underWay.get(path) ?? this.#begin(path, tile, head), path);
      return "stored";
    } catch (thrown) {
      return answerOf(asMirrorError(thrown, this.#parts.database));
    }
  }

  #begin(path: string, tile: Tile, head: SignedHead): Promise<void> {
    if (this.#underWay.size >= TILES_AT_ONCE) throw wait(path, "too many tiles are being fetched", BUSY_WAIT);
    const fetching = this.#fetch(tile, head)
      .catch((thrown: unknown) => {
        const error = asMirrorError(thrown, this.#parts.database);
        this.#remember(path, error);
        throw error;
      })
      .finally(() => this.#underWay.delete(path));
    this.#underWay.set(path, fetching);
    return fetching;
  }

  async #fetch(tile: Tile, head: SignedHead): Promise<void> {
    const tiles = this.#under(head);
    const read = await tiles.read(tile);
    // Parents first: what is in the tree can be proven from what is in the tree, whenever this ends.
    for (const proven of read.notStored) await this.#store(proven);
    if (!isFull(tile)) await this.#store(read.tile);
    tiles.stored(read.notStored.map((proven) => proven.tile));
  }

  /** A proof begun under an older head goes on under it. */
  #under(head: SignedHead): HeadTiles {
    if (this.#tiles?.tree.size === head.size) return this.#tiles;
    const { database, source, tree } = this.#parts;
    const read = async (tile: Tile) => (await tree.get(tileKey(database, tile), FULL_TILE_SIZE))?.bytes;
    this.#tiles = new HeadTiles(head, { read }, source);
    return this.#tiles;
  }

  async #store({ tile, bytes }: ProvenTile): Promise<void> {
    await this.#parts.tree.create(tileKey(this.#parts.database, tile), bytes, sha256Of(bytes));
  }

  #remember(path: string, error: MirrorError): void {
    this.#failures.delete(path);
    this.#failures.set(path, { until: this.#parts.now() + FAILURE_REMEMBERED, error });
    const oldest = this.#failures.keys().next();
    if (this.#failures.size > MOST_FAILURES && !oldest.done) this.#failures.delete(oldest.value);
  }
}

/** Only that a database does not have a tile is a 404: all else may heal. */
function answerOf(error: MirrorError): "absent" {
  if (error.class === "absent") return "absent";
  if (error.class === "transient" && error.retryAfter !== undefined) throw error;
  const { subject, message } = error;
  throw new MirrorError("transient", subject, message, { cause: error, retryAfter: FAILURE_REMEMBERED });
}

/** What hangs goes on, or dies with the process: the client comes back for it. */
async function within(fetching: Promise<void>, path: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(wait(path, "the source is slow", BUSY_WAIT)), PATIENCE);
  });
  try {
    await Promise.race([fetching, late]);
  } finally {
    clearTimeout(timer);
    fetching.catch(() => undefined);
  }
}

function wait(path: string, why: string, retryAfter: number): MirrorError {
  return new MirrorError("transient", path, `${path}: ${why}; try again`, { retryAfter });
}
