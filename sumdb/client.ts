import type { H1 } from "../gomod/dirhash.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import { parseLookup, recordHashes, type SumdbRecord } from "./lookup.ts";
import type { Verifier } from "./note.ts";
import { ProofError } from "./proof-error.ts";
import type { SumdbSource, TileStore } from "./source.ts";
import { type ProvenTile, type Tile, tilePath } from "./tile.ts";
import { TILE_CACHE_SIZE, TileCache } from "./tile-cache.ts";
import { type Present, Timeline } from "./timeline.ts";
import { hashesEqual, recordHash, storedHashIndex } from "./tlog.ts";
import { openTreeHead, type SignedHead } from "./tree-head.ts";

export type { SumdbSource, TileStore } from "./source.ts";
export type { SignedHead } from "./tree-head.ts";

export interface SumdbClientOptions {
  /** The database's name; it must be the key's. */
  readonly name: string;
  readonly verifier: Verifier;
  readonly source: SumdbSource;
  readonly store: TileStore;
  /** The last head that we published, if any. */
  readonly head?: SignedHead;
  /** Bytes of tiles kept in memory. */
  readonly cacheSize?: number;
}

/** A head, and the tiles that must be stored before anything that carries it is published. */
export interface ProvenHead {
  readonly head: SignedHead;
  readonly tiles: readonly ProvenTile[];
}

/** A record, proven to be in the tree of `head`; its lookup is `formatLookup(id, text, head.note)`. */
export interface ProvenRecord extends SumdbRecord, ProvenHead {
  readonly zip: H1;
  readonly goMod: H1;
}

/**
 * Follows one checksum database and proves records for a tree that clients verify from without us.
 *
 * **Which tiles the tree must hold.** The go command starts with no head, or with one that it has seen before; with each
 * lookup it merges the head in it, and it then proves the record under the newest head that it knows, which may be
 * newer or older than the lookup's. Let H1 < H2 < … be the heads that we ever put into a lookup or into `latest`. For
 * any client that has seen none or any of them, in any order of lookups, it is enough to hold:
 *  1. for each Hi, its edge: the partial tiles of its right edge on all levels, at Hi's widths. A client that has Hi
 *     proves Hi's own hash from them.
 *  2. for each step Hi → Hi+1, Hi's chain: the tiles at the places of Hi's edge, with those above them, at their widths
 *     under Hi+1. They show that Hi+1 contains Hi, and a record of a tile that was partial under Hi is read from them
 *     under Hi+1. For Hi → Hk they are there too: a tile of that chain is either at its width under Hk the full one
 *     that it was under some head between, so held by the step to that head, or it was partial under Hk-1, so it is in
 *     the chain of the last step.
 *  3. for each lookup, published with Hi, the full tiles on its record's path under Hi. Under a later head they are the
 *     same, and the partial ones of the path have become the chain's.
 * Edge and chain (at most 8 tiles a step today) come from the step that makes a head ours, the full tiles from
 * `prove`. A tile of another width never stands in for one of these, except that a client takes the full tile where a
 * partial one is missing.
 *
 * **Order.** All of `tiles` are stored before the lookup or `latest` that carries `head` is published, and the head is
 * noted as published before that too, so that a new client starts from it. A crash in between leaves tiles that nobody
 * asks for yet. Until `stored` has been called for a tile, each result that depends on it names it again: a caller may
 * store results in any order, side by side, and give up on any of them.
 *
 * **Heads in lookups of the source.** Each must be signed, and larger than its record's number. The record is proven
 * under OUR head, which is all that we publish. One that is not larger than ours must be part of its history, as the go
 * command has it, so that a fork is found whoever brings it; each is checked once. A larger one is merged only when the
 * record lies beyond our head; else it is left for `advance`, so that lookups do not move us one record at a time.
 */
export class SumdbClient {
  readonly #verifier: Verifier;
  readonly #source: SumdbSource;
  readonly #cache: TileCache;
  readonly #timeline: Timeline;
  /** The largest head that a lookup brought. */
  #seen: SignedHead | undefined;
  /** Edges and chains of the heads that we moved to, until they are stored; by path. */
  readonly #unstored = new Map<string, ProvenTile>();

  /**
   * @throws RangeError when the key is another database's; FormatError and ProofError `signature` when `head` is not
   * what the key has signed.
   */
  constructor(options: SumdbClientOptions) {
    const { name, verifier, source, store, head, cacheSize = TILE_CACHE_SIZE } = options;
    if (verifier.name !== name) throw new RangeError(`the key is ${verifier.name}'s, not ${name}'s`);
    this.#verifier = verifier;
    this.#source = source;
    this.#cache = new TileCache(store, source, cacheSize);
    this.#timeline = new Timeline(this.#cache, head && openTreeHead(head.note, verifier));
  }

  /** The head that records are proven under: the last one published, until `advance` or `prove` moves on. */
  get head(): SignedHead | undefined {
    return this.#timeline.present?.head;
  }

  /**
   * Our head with all that must be stored before it is published; undefined where there is none. A call that failed may
   * have moved us to a head whose tiles nobody has stored yet: they are named here.
   */
  present(): Promise<ProvenHead | undefined> {
    // In turn: a head that is just being merged is there before its tiles are named.
    return this.#timeline.inTurn(async () => {
      const { head } = this;
      return head === undefined ? undefined : { head, tiles: this.#notStored([]) };
    });
  }

  /**
   * Moves to the source's newest head if that is newer than ours; an older one is checked to be part of ours.
   * @throws ForkError when the two contradict each other; ProofError and FormatError when what the source sends does
   * not hold; what the source throws. Then `head` is what it was.
   */
  advance(): Promise<ProvenHead> {
    return this.#timeline.inTurn(async () => {
      const newest = openTreeHead(await this.#source.latest(), this.#verifier);
      const { head } = await this.#merge(newest);
      return { head, tiles: this.#notStored([]) };
    });
  }

  /**
   * Looks a record up and proves it under our head, moving that on when the record lies beyond it. Up to some hundred
   * calls at once are fine: what they read of the tree is read once.
   * @throws as advance; ProofError `record` when the record is not the one in the database, or not this version's;
   * whatever the source throws for the lookup, such as absent.
   */
  async prove(version: ModuleVersion): Promise<ProvenRecord> {
    const subject = `${version.path}@${version.version}`;
    const lookup = parseLookup(await this.#source.lookup(version));
    const hashes = recordHashes(lookup.text, version);
    const own = this.#timeline.known(lookup.treeNote) ?? openTreeHead(lookup.treeNote, this.#verifier);
    if (lookup.id >= own.size) {
      const message = `${subject}: record ${lookup.id} is not in the tree of ${own.size} records that came with it`;
      throw new ProofError("record", subject, message);
    }
    if (own.size > (this.#seen?.size ?? 0)) this.#seen = own;
    const { head, reader } = await this.#presentFor(lookup.id, own);

    const proof = await reader.read([storedHashIndex(0, lookup.id)]);
    const [leaf] = proof.hashes;
    if (leaf === undefined || !hashesEqual(leaf, recordHash(Buffer.from(lookup.text)))) {
      throw new ProofError(
        "record",
        subject,
        `${subject}: the record sent is not record ${lookup.id} of the database`,
      );
    }
    return { id: lookup.id, text: lookup.text, ...hashes, head, tiles: this.#notStored(proof.tiles) };
  }

  /** To be told of tiles once they are durably in the store: they are not named again. */
  stored(tiles: Iterable<Tile>): void {
    for (const tile of tiles) {
      this.#cache.markStored(tile);
      this.#unstored.delete(tilePath(tile));
    }
  }

  /** Our head, or a newer one where `id` lies beyond it. */
  async #presentFor(id: number, own: SignedHead): Promise<Present> {
    const present = this.#timeline.present;
    if (present !== undefined && id < present.head.size) {
      const unseen = own.size <= present.head.size && !this.#timeline.contains(own);
      return unseen ? await this.#timeline.inTurn(() => this.#merge(own)) : present;
    }
    return await this.#timeline.inTurn(async () => {
      const now = this.#timeline.present;
      if (now !== undefined && id < now.head.size) return now;
      // The largest head that any lookup brought serves all who wait here; if it cannot be had, our own may do.
      const seen = this.#seen;
      try {
        return await this.#merge(seen !== undefined && seen.size > own.size ? seen : own);
      } finally {
        if (this.#seen === seen) this.#seen = undefined;
      }
    });
  }

  async #merge(head: SignedHead): Promise<Present> {
    const before = this.#timeline.present;
    const tiles = await this.#timeline.merge(head);
    const present = this.#timeline.present;
    if (present === undefined) throw new RangeError("a merged head was lost");
    if (present !== before) for (const proven of tiles) this.#unstored.set(tilePath(proven.tile), proven);
    return present;
  }

  #notStored(tiles: readonly ProvenTile[]): ProvenTile[] {
    const wanted = new Map(this.#unstored);
    for (const proven of tiles) wanted.set(tilePath(proven.tile), proven);
    return [...wanted.values()].filter(({ tile }) => !this.#cache.isStored(tile));
  }
}
