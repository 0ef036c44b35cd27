import type { ModuleVersion } from "../gomod/version.ts";
import {
  type ProvenHead,
  type ProvenRecord,
  SumdbClient,
  type SumdbSource,
  type TileStore,
} from "../sumdb/client.ts";
import { formatLookup, parseLookup } from "../sumdb/lookup.ts";
import type { Verifier } from "../sumdb/note.ts";
import { FULL_TILE_SIZE, type ProvenTile } from "../sumdb/tile.ts";
import type { TileExtent } from "../sumdb/tile-extent.ts";
import type { SignedHead } from "../sumdb/tree-head.ts";
import { sha256Of } from "./body.ts";
import { type Deadline, noDeadline } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import { ForkStop } from "./fork-stop.ts";
import { HeadSeries } from "./head-series.ts";
import type { Clock, Ledger, Tree, Vault } from "./ports.ts";
import { ProofSource } from "./proof-source.ts";
import { TileFilling } from "./tile-filling.ts";
import { lookupKey, type TreeKey, tileKey } from "./tree-keys.ts";

/** A lookup is id, two lines, and a signed head of a few hundred bytes; cmd/go accepts 1 MB (modfetch/sumdb.go). */
export const LARGEST_LOOKUP = 1_000_000;

/** Holds the tiles that a head needs before it is published, as far as may be. @returns whether all are held. */
type Fill = (head: SignedHead) => Promise<boolean>;

export interface ChecksumDatabaseParts {
  readonly verifier: Verifier;
  readonly source: SumdbSource;
  readonly tree: Tree;
  readonly ledger: Ledger;
  /** Where the evidence of a fork is kept. */
  readonly vault: Vault;
  readonly now: Clock;
  readonly report: Report;
  /** Names this process in leases. */
  readonly owner: string;
  /** How many of its tiles are held; `needed` unless told otherwise. */
  readonly tiles?: TileExtent;
}

/**
 * One checksum database as this mirror serves it: a monotonic series of heads, and lookups that each carry one of
 * them, with every tile that an offline client then asks for. A published head, tile or lookup never goes away.
 */
export class ChecksumDatabase {
  readonly name: string;
  readonly #parts: ChecksumDatabaseParts;
  readonly #store: TileStore;
  readonly #source: ProofSource;
  readonly #series: HeadSeries;
  readonly #filling: TileFilling;
  readonly #stop: ForkStop;
  /** Tiles that are being stored or are stored by this process, so that each is written once. */
  readonly #stored = new Map<TreeKey, Promise<void>>();
  #client: Promise<SumdbClient> | undefined;
  readonly #published = new Map<number, Promise<void>>();
  #beginFailed = false;
  /** The lease is per process: two heads of ours are added one after the other. */
  #lastHead: Promise<void> = Promise.resolve();

  constructor(parts: ChecksumDatabaseParts) {
    this.name = parts.verifier.name;
    this.#parts = parts;
    this.#store = {
      read: async (tile) => (await parts.tree.get(tileKey(this.name, tile), FULL_TILE_SIZE))?.bytes,
    };
    this.#source = new ProofSource(parts.source, this.name, parts.now);
    const source = this.#source;
    const storeTiles = (tiles: readonly ProvenTile[]) => this.#storeTiles(tiles);
    this.#stop = new ForkStop(this.name, parts);
    const store = this.#store;
    this.#filling = new TileFilling({
      ...parts,
      database: this.name,
      extent: parts.tiles ?? "needed",
      source,
      store,
      // Not by #storeTiles, which remembers each: these are many, and each is stored once.
      storeTiles: async (tiles) => void (await Promise.all(tiles.map((tile) => this.#createTile(tile)))),
    });
    const filling = this.#filling;
    this.#series = new HeadSeries({ ...parts, source, store, storeTiles, filling, stop: this.#stop });
  }

  /**
   * Takes over upstream's newest head, proven consistent with ours, and publishes it. Where many tiles have to be held
   * before that, `complete` does it.
   * @throws MirrorError stopped when the two heads disagree, or have before (mirror/fork-stop.ts).
   */
  async advance(): Promise<void> {
    try {
      await this.#stop.check();
      await this.#stop.guard(async () => {
        await this.#publishProven(await (await this.#open()).advance());
      });
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /**
   * Holds all tiles of the extent up to our newest head, as far as time allows; then clients may ask this tree.
   * @returns whether all are held; also where there is no head yet.
   * @throws MirrorError stopped where the database is; another class when the source lacks a tile, does not answer or
   * sends a wrong one. What is held stays, and the next call goes on there.
   */
  async complete(deadline: Deadline = noDeadline): Promise<boolean> {
    try {
      await this.#stop.check();
      const present = await (await this.#open()).present();
      if (present === undefined) return true;
      return await this.#stop.guard(async () => {
        const fill = (waiting: SignedHead) => this.#filling.fill(waiting, deadline);
        // Perhaps it waits for its tiles; else it is published already.
        await this.#publishProven(present, fill);
        const newest = await this.#parts.ledger.readHead(this.name);
        return newest !== undefined && (await fill(newest)) && (await this.#series.support());
      });
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /** Gets again what is missing of the tiles that are said to be held. @throws MirrorError as `complete`. */
  async refill(): Promise<void> {
    try {
      const head = await this.#parts.ledger.readHead(this.name);
      if (head !== undefined) await this.#filling.refill(head);
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /** Before anything is fetched that could not be published. @throws MirrorError stopped where it forked. */
  checkStop(): Promise<void> {
    return this.#stop.check();
  }

  /**
   * The proven hashes of a version; nothing is stored yet. Proven under the head that we last published; the client
   * moves on by itself where a record lies beyond it, or where we have none.
   * @throws MirrorError absent where the database has no record of it; mismatch where a proof fails; stopped at a fork.
   */
  async prove(version: ModuleVersion): Promise<ProvenRecord> {
    const client = await this.#open();
    try {
      return await this.#stop.guard(() => client.prove(version));
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class === "absent") await this.#source.checkServed();
      throw thrown;
    }
  }

  /**
   * Stores the tiles of a proof, then the head, then the lookup that carries it. A crash in between leaves tiles and
   * heads that nothing names yet.
   * @throws MirrorError mismatch when another record is already published for this version; stopped at a fork.
   */
  async publish(version: ModuleVersion, proven: ProvenRecord): Promise<void> {
    await this.#stop.guard(async () => {
      await this.#publishProven(proven);
    });
    await this.#stop.check();
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

  /** Where all that is missing is little, clients need not wait for the next tick; what fails here, that one says. */
  async #beginInPassing(head: SignedHead): Promise<void> {
    if (this.#beginFailed) return;
    try {
      if (await this.#filling.fillInPassing(head)) await this.#series.support();
    } catch {
      this.#beginFailed = true;
    }
  }

  #open(): Promise<SumdbClient> {
    this.#client ??= this.#start().catch((error: unknown) => {
      this.#client = undefined;
      throw error;
    });
    return this.#client;
  }

  async #start(): Promise<SumdbClient> {
    const { verifier, ledger } = this.#parts;
    const head = await ledger.readHead(this.name);
    return new SumdbClient({
      name: this.name,
      verifier,
      source: this.#source,
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
    const storing = this.#createTile(tile);
    this.#stored.set(key, storing);
    storing.catch(() => this.#stored.delete(key));
    return storing;
  }

  async #createTile({ tile, bytes }: ProvenTile): Promise<void> {
    await this.#parts.tree.create(tileKey(this.name, tile), bytes, sha256Of(bytes));
  }

  /** Stores the tiles, then publishes the head; a head of another line than ours leaves nothing. */
  async #publishProven({ head, tiles }: ProvenHead, fill?: Fill): Promise<void> {
    if (!this.#published.has(head.size)) await this.#series.refuseOtherLine(head);
    await this.#storeTiles(tiles);
    (await this.#open()).stored(tiles.map(({ tile }) => tile));
    await this.#publishHead(head, fill);
  }

  /** Each head that a lookup carries is added, also one that a newer head has overtaken in the meantime. */
  #publishHead(
    head: SignedHead,
    fill: Fill = (waiting) => this.#filling.fillInPassing(waiting),
  ): Promise<void> {
    const known = this.#published.get(head.size);
    if (known !== undefined) return known;
    const adding = this.#lastHead.then(async () => {
      const supported = await this.#series.add(head, fill);
      this.#parts.report({ event: "head", database: this.name, size: head.size });
      if (!supported) await this.#beginInPassing(head);
    });
    this.#published.set(head.size, adding);
    adding.catch(() => this.#published.delete(head.size));
    this.#lastHead = adding.catch(() => undefined);
    return adding;
  }
}
