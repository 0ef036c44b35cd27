import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type ProvenHead, type ProvenRecord, SumdbClient, type SumdbSource } from "../sumdb/client.ts";
import { HeadTiles } from "../sumdb/head-tiles.ts";
import type { Verifier } from "../sumdb/note.ts";
import { type ProvenTile, type Tile, tileAt } from "../sumdb/tile.ts";
import type { TileExtent } from "../sumdb/tile-extent.ts";
import type { SignedHead } from "../sumdb/tree-head.ts";
import { DatabaseTiles } from "./database-tiles.ts";
import { type Deadline, noDeadline } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import { ForkStop } from "./fork-stop.ts";
import { HeadSeries } from "./head-series.ts";
import type { Clock, Ledger, Tree, Vault } from "./ports.ts";
import { ProofSource } from "./proof-source.ts";
import { storeLookup } from "./stored-lookup.ts";
import { TileFilling } from "./tile-filling.ts";
import { lookupKey } from "./tree-keys.ts";

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
  readonly #tiles: DatabaseTiles;
  readonly #source: ProofSource;
  readonly #series: HeadSeries;
  readonly #filling: TileFilling;
  readonly #stop: ForkStop;
  #client: Promise<SumdbClient> | undefined;
  readonly #published = new Map<number, Promise<void>>();
  /** By `module@version`, while it is under way. */
  readonly #proving = new Map<string, Promise<ProvenRecord>>();
  #beginFailed = false;
  /** Of the head up to which `complete` last found all tiles held. */
  #completeTo: number | undefined;
  /** The end of what was begun last of all that needs the heads' lease. */
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(parts: ChecksumDatabaseParts) {
    this.name = parts.verifier.name;
    this.#parts = parts;
    const tiles = new DatabaseTiles(this.name, parts.tree);
    const source = new ProofSource(parts.source, this.name, parts.now);
    const stop = new ForkStop(this.name, parts);
    const filling = new TileFilling({
      ...parts,
      database: this.name,
      extent: parts.tiles ?? "needed",
      source,
      store: tiles,
      storeTiles: (many) => tiles.create(many),
    });
    this.#tiles = tiles;
    this.#source = source;
    this.#stop = stop;
    this.#filling = filling;
    const storeTiles = (few: readonly ProvenTile[]) => tiles.store(few);
    this.#series = new HeadSeries({ ...parts, source, store: tiles, storeTiles, filling, stop });
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
        if (newest === undefined || !(await fill(newest))) return false;
        const supported = await this.#inTurn(() => this.#series.support());
        if (supported) this.#completeTo = newest.size;
        return supported;
      });
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /**
   * Whether `complete` has nothing to do, as far as this process knows: it came to its end before, and our head is the same
   * still. A newer one that another worker has published since is filled already, for each is before it is published.
   */
  async isComplete(): Promise<boolean> {
    return this.#completeTo !== undefined && (await this.#open()).head?.size === this.#completeTo;
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

  /**
   * Has these tiles in the tree as our newest head proves them, with all above them: what lacks is stored, what differs
   * gives way. All are asked of the source, so that nothing damaged proves anything.
   * @throws MirrorError as `complete`.
   */
  async restore(tiles: readonly Tile[]): Promise<void> {
    try {
      const head = await this.#parts.ledger.readHead(this.name);
      if (head === undefined) return;
      const reader = new HeadTiles(head, { read: async () => undefined }, this.#source);
      for (const tile of tiles) {
        const widest = tileAt(tile.level, tile.index, head.size);
        if (widest === undefined || tile.width > widest.width) continue;
        const read = await reader.read(tile);
        for (const proven of [...read.notStored, read.tile]) await this.#tiles.restore(proven);
      }
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /**
   * Stores again what clients with any of our heads need of them (sumdb/client.ts), where a tree has lost it.
   * @throws MirrorError as `complete`.
   */
  async restoreHeads(): Promise<void> {
    try {
      await this.#stop.check();
      await this.#stop.guard(() => this.#inTurn(() => this.#series.restore()));
    } catch (thrown) {
      throw asMirrorError(thrown, this.name);
    }
  }

  /**
   * Proves a version anew and has its lookup give way that is damaged. Between the two a crash leaves none: a scrub finds
   * that too. @throws MirrorError as `prove` and `publish`; the damaged one then stays.
   */
  async restoreLookup(version: ModuleVersion): Promise<void> {
    const proven = await this.prove(version);
    await this.#stop.guard(async () => {
      await this.#publishProven(proven);
    });
    const { tree } = this.#parts;
    const key = lookupKey(this.name, version);
    const stored = await tree.open(key);
    await stored?.close();
    if (stored !== undefined) await tree.remove(key, stored.etag);
    await storeLookup(tree, this.name, version, proven);
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
  prove(version: ModuleVersion): Promise<ProvenRecord> {
    // Whoever compares a file that he has already asks for the same proof as the fetch that goes on meanwhile.
    const name = formatModuleVersion(version);
    const proving = this.#proving.get(name) ?? this.#prove(version).finally(() => this.#proving.delete(name));
    this.#proving.set(name, proving);
    return proving;
  }

  async #prove(version: ModuleVersion): Promise<ProvenRecord> {
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
    await storeLookup(this.#parts.tree, this.name, version, proven);
  }

  /** In turn already. Where little is missing, clients need not wait for the next tick; what fails, that one says. */
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
      store: this.#tiles,
      ...(head === undefined ? {} : { head }),
    });
  }

  /** Stores the tiles, then publishes the head; a head of another line than ours leaves nothing. */
  async #publishProven({ head, tiles }: ProvenHead, fill?: Fill): Promise<void> {
    if (!this.#published.has(head.size)) await this.#series.refuseOtherLine(head);
    await this.#tiles.store(tiles);
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
    const adding = this.#inTurn(async () => {
      const supported = await this.#series.add(head, fill);
      this.#parts.report({ event: "head", database: this.name, size: head.size });
      if (!supported) await this.#beginInPassing(head);
    });
    this.#published.set(head.size, adding);
    adding.catch(() => this.#published.delete(head.size));
    return adding;
  }

  /** What needs the heads' lease is done one after the other: nothing here waits for a lease of our own. */
  #inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastTurn.then(act);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }
}
