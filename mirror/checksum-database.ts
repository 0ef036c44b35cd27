import type { ModuleVersion } from "../gomod/version.ts";
import { type ProvenRecord, SumdbClient, type SumdbSource, type TileStore } from "../sumdb/client.ts";
import { formatLookup, parseLookup } from "../sumdb/lookup.ts";
import type { Verifier } from "../sumdb/note.ts";
import { FULL_TILE_SIZE, type ProvenTile } from "../sumdb/tile.ts";
import type { SignedHead } from "../sumdb/tree-head.ts";
import { sha256Of } from "./body.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import { HeadSeries } from "./head-series.ts";
import type { Clock, Ledger, Tree } from "./ports.ts";
import { lookupKey, type TreeKey, tileKey } from "./tree-keys.ts";

/** A lookup is id, two lines, and a signed head of a few hundred bytes; cmd/go accepts 1 MB (modfetch/sumdb.go). */
export const LARGEST_LOOKUP = 1_000_000;

/** How long it holds, in ms, whether the source serves the database at all. */
const SERVED_TTL = 60_000;

export interface ChecksumDatabaseParts {
  readonly verifier: Verifier;
  readonly source: SumdbSource;
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly now: Clock;
  readonly report: Report;
  /** Names this process in leases. */
  readonly owner: string;
}

/**
 * One checksum database as this mirror serves it: a monotonic series of heads, and lookups that each carry one of
 * them, with every tile that an offline client then asks for. A published head, tile or lookup never goes away.
 */
export class ChecksumDatabase {
  readonly name: string;
  readonly #parts: ChecksumDatabaseParts;
  readonly #store: TileStore;
  readonly #series: HeadSeries;
  /** Tiles that are being stored or are stored by this process, so that each is written once. */
  readonly #stored = new Map<TreeKey, Promise<void>>();
  #client: Promise<SumdbClient> | undefined;
  #served: { readonly at: number; readonly answer: Promise<void> } | undefined;
  readonly #published = new Map<number, Promise<void>>();
  /** The lease is per process: two heads of ours are added one after the other. */
  #lastHead: Promise<void> = Promise.resolve();

  constructor(parts: ChecksumDatabaseParts) {
    this.name = parts.verifier.name;
    this.#parts = parts;
    this.#store = {
      read: async (tile) => (await parts.tree.get(tileKey(this.name, tile), FULL_TILE_SIZE))?.bytes,
    };
    const source = proofSource(parts.source, this.name);
    const storeTiles = (tiles: readonly ProvenTile[]) => this.#storeTiles(tiles);
    this.#series = new HeadSeries({ ...parts, source, store: this.#store, storeTiles });
  }

  /**
   * Takes over upstream's newest head, proven consistent with ours, and publishes it.
   * @throws MirrorError mismatch when the two heads disagree (a fork): nothing more of it may be published.
   */
  async advance(): Promise<void> {
    try {
      const client = await this.#open();
      const advanced = await client.advance();
      await this.#storeTiles(advanced.tiles);
      client.stored(advanced.tiles.map(({ tile }) => tile));
      await this.#publishHead(advanced.head);
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /**
   * The proven hashes of a version; nothing is stored yet. Proven under the head that we last published; the client
   * moves on by itself where a record lies beyond it, or where we have none.
   * @throws MirrorError absent where the database has no record of it; mismatch where a proof fails.
   */
  async prove(version: ModuleVersion): Promise<ProvenRecord> {
    const client = await this.#open();
    try {
      return await client.prove(version);
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class === "absent") await this.#checkServed();
      throw thrown;
    }
  }

  /** An upstream that has no checksum database at all has no record of any version: that says nothing of the version. */
  async #checkServed(): Promise<void> {
    const now = this.#parts.now();
    if (this.#served === undefined || now - this.#served.at > SERVED_TTL)
      this.#served = { at: now, answer: this.#parts.source.latest().then(() => undefined) };
    try {
      await this.#served.answer;
    } catch (cause) {
      const message = `${this.name}: not served by this upstream; give its own URL with --sumdb`;
      throw new MirrorError("transient", this.name, message, { cause });
    }
  }

  /**
   * Stores the tiles of a proof, then the head, then the lookup that carries it. A crash in between leaves tiles and
   * heads that nothing names yet.
   * @throws MirrorError mismatch when another record is already published for this version.
   */
  async publish(version: ModuleVersion, proven: ProvenRecord): Promise<void> {
    await this.#storeTiles(proven.tiles);
    (await this.#open()).stored(proven.tiles.map(({ tile }) => tile));
    await this.#publishHead(proven.head);
    const key = lookupKey(this.name, version);
    const bytes = formatLookup(proven.id, proven.text, proven.head.note);
    if ((await this.#parts.tree.create(key, bytes, sha256Of(bytes))) === "created") return;
    const stored = await this.#parts.tree.get(key, LARGEST_LOOKUP);
    if (stored === undefined)
      throw new MirrorError("transient", key, `${key}: was there and is gone; try again`);
    const earlier = parseLookup(stored.bytes);
    if (earlier.id === proven.id && earlier.text === proven.text) return;
    const message = `${key}: the published lookup is another record than the proven one; run \`modferry verify\``;
    throw new MirrorError("mismatch", key, message);
  }

  #open(): Promise<SumdbClient> {
    this.#client ??= this.#start().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #start(): Promise<SumdbClient> {
    const { verifier, source, ledger } = this.#parts;
    const head = await ledger.readHead(this.name);
    return new SumdbClient({
      name: this.name,
      verifier,
      source: proofSource(source, this.name),
      store: this.#store,
      ...(head === undefined ? {} : { head }),
    });
  }

  async #storeTiles(tiles: readonly ProvenTile[]): Promise<void> {
    await Promise.all(tiles.map((tile) => this.#storeTile(tile)));
  }

  #storeTile(tile: ProvenTile): Promise<void> {
    const key = tileKey(this.name, tile.tile);
    const known = this.#stored.get(key);
    if (known !== undefined) return known;
    // `exists` is as good as `created`: whoever stored it had proven it, and a tile's bytes follow from its path.
    const storing = this.#parts.tree.create(key, tile.bytes, sha256Of(tile.bytes)).then(() => undefined);
    this.#stored.set(key, storing);
    storing.catch(() => this.#stored.delete(key));
    return storing;
  }

  /** Each head that a lookup carries is added, also one that a newer head has overtaken in the meantime. */
  #publishHead(head: SignedHead): Promise<void> {
    const known = this.#published.get(head.size);
    if (known !== undefined) return known;
    const adding = this.#lastHead.then(async () => {
      await this.#series.add(head);
      this.#parts.report({ event: "head", database: this.name, size: head.size });
    });
    this.#published.set(head.size, adding);
    adding.catch(() => this.#published.delete(head.size));
    this.#lastHead = adding.catch(() => undefined);
    return adding;
  }
}

/**
 * A tile or a head that a source lacks or refuses is a fault of the source, and says nothing of any version: only a
 * lookup that is absent does.
 */
function proofSource(source: SumdbSource, database: string): SumdbSource {
  const asFault = (thrown: unknown): never => {
    if (!(thrown instanceof MirrorError) || (thrown.class !== "absent" && thrown.class !== "withheld"))
      throw thrown;
    throw new MirrorError("transient", database, `${database}: ${thrown.message}`, { cause: thrown });
  };
  return {
    latest: () => source.latest().catch(asFault),
    lookup: (version) => source.lookup(version),
    tile: (tile) => source.tile(tile).catch(asFault),
  };
}
