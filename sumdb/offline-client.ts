import type { H1 } from "../gomod/dirhash.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import { parseLookup, recordHashes, type SumdbRecord } from "./lookup.ts";
import type { Verifier } from "./note.ts";
import { ProofError } from "./proof-error.ts";
import type { TileStore } from "./source.ts";
import { TILE_CACHE_SIZE, TileCache } from "./tile-cache.ts";
import { Timeline } from "./timeline.ts";
import { hashesEqual, recordHash, storedHashIndex } from "./tlog.ts";
import { openTreeHead, type SignedHead } from "./tree-head.ts";

/** A tree's part for one database, as a client reads it. */
export interface OfflineTree extends TileStore {
  /** A lookup's reply as it is served; undefined when there is none. */
  lookup(version: ModuleVersion): Promise<Uint8Array | undefined>;
}

export interface OfflineClientOptions {
  readonly verifier: Verifier;
  readonly tree: OfflineTree;
  /** A signed head that this client saw in an earlier life; without it, it is a fresh one. */
  readonly latest?: Uint8Array;
  readonly cacheSize?: number;
}

/**
 * A go command without network, reading one tree: it does what golang.org/x/mod/sumdb.Client does, in the same order,
 * and reads the tiles that it reads. What this client accepts as a fresh one, and as one that has an earlier head, can
 * be published.
 */
export class OfflineClient {
  readonly #verifier: Verifier;
  readonly #tree: OfflineTree;
  readonly #timeline: Timeline;
  #initial: Promise<void> | undefined;
  readonly #latest: Uint8Array | undefined;

  constructor({ verifier, tree, latest, cacheSize = TILE_CACHE_SIZE }: OfflineClientOptions) {
    this.#verifier = verifier;
    this.#tree = tree;
    this.#latest = latest;
    this.#timeline = new Timeline(new TileCache(tree, undefined, cacheSize), undefined);
  }

  /** The newest head seen so far. */
  get head(): SignedHead | undefined {
    return this.#timeline.present?.head;
  }

  /**
   * Looks a version up and proves it under the newest head known (x/mod, Client.Lookup; cmd/go, checkSumDB).
   * @throws FormatError, ProofError or ForkError: what the go command would refuse, and a record of which it would
   * not find both lines.
   */
  async lookup(version: ModuleVersion): Promise<SumdbRecord & { readonly zip: H1; readonly goMod: H1 }> {
    this.#initial ??= this.#latest === undefined ? Promise.resolve() : this.#merge(this.#latest);
    await this.#initial;
    const subject = `${version.path}@${version.version}`;
    const bytes = await this.#tree.lookup(version);
    if (bytes === undefined)
      throw new ProofError("record", subject, `${subject}: its lookup is missing in the tree`);
    const { id, text, treeNote } = parseLookup(bytes);
    await this.#merge(treeNote);
    const present = this.#timeline.present;
    if (present === undefined || id >= present.head.size) {
      const message = `${subject}: record ${id} is not in the tree of ${present?.head.size ?? 0} records`;
      throw new ProofError("record", subject, message);
    }
    const [leaf] = await present.reader.hashes([storedHashIndex(0, id)]);
    if (leaf === undefined || !hashesEqual(leaf, recordHash(Buffer.from(text)))) {
      throw new ProofError("record", subject, `${subject}: its lookup is not record ${id} of the database`);
    }
    return { id, text, ...recordHashes(text, version) };
  }

  #merge(note: Uint8Array): Promise<void> {
    return this.#timeline.inTurn(async () => {
      if (this.#timeline.known(note) !== undefined) return;
      await this.#timeline.merge(openTreeHead(note, this.#verifier));
    });
  }
}
