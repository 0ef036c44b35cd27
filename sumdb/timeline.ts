import { proveTree } from "./proof.ts";
import { ForkError } from "./proof-error.ts";
import type { ProvenTile } from "./tile.ts";
import type { TileCache } from "./tile-cache.ts";
import { TileHashReader } from "./tile-hash-reader.ts";
import { EMPTY_TREE_HASH, hashesEqual, joinSubtrees, subtreeIndexes, type TreeHead } from "./tlog.ts";
import type { SignedHead } from "./tree-head.ts";

/** A head with the reader that proves hashes under it. */
export interface Present {
  readonly head: SignedHead;
  readonly reader: TileHashReader;
}

/**
 * One history of a database: the newest head that it was followed to. It only ever moves to a head that contains the
 * one before (golang.org/x/mod/sumdb, Client.mergeLatest). Heads given to it must have been opened with their key.
 */
export class Timeline {
  readonly #cache: TileCache;
  #present: Present | undefined;
  /** Older heads that were found to be on this timeline; as it only grows, they stay so. */
  readonly #past = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  /** @param head where it stands already, such as the last head that we published. */
  constructor(cache: TileCache, head: SignedHead | undefined) {
    this.#cache = cache;
    if (head !== undefined) this.#present = { head, reader: new TileHashReader(head, cache) };
  }

  /** The present head if this is its note, byte for byte, so that one note need not be verified a thousand times. */
  known(note: Uint8Array): SignedHead | undefined {
    const head = this.#present?.head;
    return head !== undefined && Buffer.compare(note, head.note) === 0 ? head : undefined;
  }

  /** Whether the head is the present one, or was found to be on this timeline before. */
  contains(head: TreeHead): boolean {
    const present = this.#present?.head;
    return present !== undefined && (sameTree(head, present) || this.#past.has(headKey(head)));
  }

  get present(): Present | undefined {
    return this.#present;
  }

  /** Runs `work` when all earlier work is done: heads are merged one after the other. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /**
   * Moves to `head` if it is newer, once it is proven to contain the present one; otherwise checks that it is on this
   * timeline. To be called in turn.
   * @returns the tiles that a go client reads which makes the same step: the right edge of the newer head, and the
   * older one's edge at its new widths; none when nothing had to be read.
   * @throws ForkError when neither contains the other; ProofError `tiles`, or what the source throws, when that cannot
   * be told. Then the timeline is where it was.
   */
  async merge(head: SignedHead): Promise<readonly ProvenTile[]> {
    const present = this.#present;
    if (present === undefined) {
      const reader = new TileHashReader(head, this.#cache);
      const { tiles } = await reader.read([]);
      this.#present = { head, reader };
      return tiles;
    }
    if (head.size <= present.head.size) {
      if (this.contains(head)) return [];
      const tiles = await checkContains(present, head);
      this.#past.add(headKey(head));
      return tiles;
    }
    const next = { head, reader: new TileHashReader(head, this.#cache) };
    const tiles = await checkContains(next, present.head);
    this.#past.add(headKey(present.head));
    this.#present = next;
    return tiles;
  }
}

const headKey = (head: TreeHead) => `${head.size} ${Buffer.from(head.hash).toString("base64")}`;

export function sameTree(a: TreeHead, b: TreeHead): boolean {
  return a.size === b.size && hashesEqual(a.hash, b.hash);
}

/**
 * Checks that the newer tree's first records are the older tree, as x/mod's Client.checkTrees does: by the newer tree's
 * own hash at the older size.
 */
async function checkContains(newer: Present, older: SignedHead): Promise<ProvenTile[]> {
  const { hashes, tiles } = await newer.reader.read(subtreeIndexes(0, older.size));
  const computed = older.size === 0 ? EMPTY_TREE_HASH : joinSubtrees(hashes);
  if (hashesEqual(computed, older.hash)) return tiles;
  const hashReader = (indexes: readonly number[]) => newer.reader.hashes(indexes);
  const proof = older.size === 0 ? [] : await proveTree(newer.head.size, older.size, hashReader);
  const sizes = `${older.size} and ${newer.head.size} records`;
  const message = `the checksum database shows two histories: its signed trees of ${sizes} contradict each other`;
  throw new ForkError(message, older.note, newer.head.note, computed, proof);
}
