import { SumdbClient, type SumdbSource, type TileStore } from "../sumdb/client.ts";
import type { Verifier } from "../sumdb/note.ts";
import { ForkError } from "../sumdb/proof-error.ts";
import type { ProvenTile } from "../sumdb/tile.ts";
import { hashesEqual } from "../sumdb/tlog.ts";
import { openTreeHead, type SignedHead } from "../sumdb/tree-head.ts";
import { sha256Of } from "./body.ts";
import { MirrorError } from "./errors.ts";
import type { ForkStop } from "./fork-stop.ts";
import { HeadLease } from "./head-lease.ts";
import type { Ledger, Tree } from "./ports.ts";
import type { TileFilling } from "./tile-filling.ts";
import { supportedKey, treeHeadKey } from "./tree-keys.ts";

/** A signed head has a few hundred bytes; cmd/go accepts 1 MB (modfetch/sumdb.go). */
const LARGEST_HEAD = 1_000_000;

export interface HeadSeriesParts {
  readonly verifier: Verifier;
  readonly source: SumdbSource;
  readonly store: TileStore;
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly storeTiles: (tiles: readonly ProvenTile[]) => Promise<void>;
  readonly filling: Pick<TileFilling, "begun" | "isFilled">;
  readonly now: () => number;
  /** Names this process in leases. */
  readonly owner: string;
  readonly stop: Pick<ForkStop, "check">;
}

/**
 * The heads that this mirror has ever published of one database, in one line: for each two neighbours the tree holds
 * the tiles that lead a client from the older to the newer (sumdb/client.ts says which). Workers at once may have
 * moved from the same head to different ones, so heads are added one at a time, under a lease, each bridged to its
 * neighbours in the line whatever it was reached from.
 */
export class HeadSeries {
  readonly #parts: HeadSeriesParts;

  constructor(parts: HeadSeriesParts) {
    this.#parts = parts;
  }

  /**
   * Adds a head whose own edge tiles are stored: bridges first, then all tiles of the extent where these were once all
   * held, then the ledger, then `latest`, then `supported` once they are. A crash leaves tiles or a head that no lookup
   * carries yet. Adding one again changes nothing.
   * @param fill holds what the extent needs up to the head; whether it did.
   * @returns whether clients may ask this tree.
   * @throws MirrorError stopped where the database is; transient while tiles are missing that must be held before;
   * ForkError, also when another head of the same size is published.
   */
  async add(head: SignedHead, fill: (head: SignedHead) => Promise<boolean>): Promise<boolean> {
    return await this.#underLease(async (lease) => {
      await this.#addInLine(head, fill, lease);
      await this.#moveTreeHead(head);
      return await this.#support();
    });
  }

  /**
   * To be called before a head's own tiles are stored: another worker may have published what it contradicts, and the
   * tiles of a fork would stand for good where those of our line must come. Of two workers whose heads fork at the very
   * same moment, with none published before, one may still leave such tiles.
   * @throws MirrorError stopped where the database is; ForkError.
   */
  async refuseOtherLine(head: SignedHead): Promise<void> {
    await this.#parts.stop.check();
    const { before, same, after } = await this.#neighbours(head);
    if (same !== undefined) return refuseFork(same, head);
    if (before !== undefined) await this.#bridge(before, head);
    if (after !== undefined) await this.#bridge(head, after);
  }

  /** Lets clients ask this tree if all tiles of the extent are held up to the newest head. @returns whether they are. */
  async support(): Promise<boolean> {
    return await this.#underLease(async (lease) => {
      await lease.take();
      return await this.#support();
    });
  }

  async #underLease<Result>(act: (lease: HeadLease) => Promise<Result>): Promise<Result> {
    const lease = new HeadLease({ ...this.#parts, database: this.#parts.verifier.name });
    try {
      return await act(lease);
    } finally {
      await lease.release();
    }
  }

  /** Under the lease: no head is published between the look and the answer. */
  async #support(): Promise<boolean> {
    const { ledger, verifier, tree, filling } = this.#parts;
    const newest = await ledger.readHead(verifier.name);
    if (newest === undefined || !(await filling.isFilled(newest.size))) return false;
    const empty = new Uint8Array();
    await tree.create(supportedKey(verifier.name), empty, sha256Of(empty));
    return true;
  }

  /**
   * Bridging asks the source, and may outlast the lease: so it is taken anew after each bridge and the neighbours are
   * read again, until both bridges are there. Then nothing but the ledger's one write is between the two. Tiles are
   * filled after that, when the head is known to be on our line, and without the lease, since it may take minutes.
   */
  async #addInLine(
    head: SignedHead,
    fill: (head: SignedHead) => Promise<boolean>,
    lease: HeadLease,
  ): Promise<void> {
    const { ledger, verifier, stop, filling } = this.#parts;
    const bridged = new Set<string>();
    for (;;) {
      await lease.take();
      await stop.check();
      const { before, same, after } = await this.#neighbours(head);
      if (same !== undefined) return refuseFork(same, head);
      const next = [
        ...(before === undefined ? [] : [[before, head] as const]),
        ...(after === undefined ? [] : [[head, after] as const]),
      ].find(([older, newer]) => !bridged.has(`${older.size} ${newer.size}`));
      if (next === undefined) {
        if (!(await filling.begun()) || (await filling.isFilled(head.size)))
          return await ledger.addHead(verifier.name, head);
        await lease.release();
        if (!(await fill(head))) throw unfilled(verifier.name, head);
        continue;
      }
      await this.#bridge(...next);
      bridged.add(`${next[0].size} ${next[1].size}`);
    }
  }

  async #neighbours(head: SignedHead): Promise<Partial<Record<"before" | "same" | "after", SignedHead>>> {
    const { ledger, verifier } = this.#parts;
    const newest = await ledger.readHead(verifier.name);
    if (newest === undefined) return {};
    if (newest.size === head.size) return { same: newest };
    if (newest.size < head.size) return { before: newest };
    let before: SignedHead | undefined;
    for await (const published of ledger.heads(verifier.name)) {
      if (published.size === head.size) return { same: published };
      const own = before === undefined ? {} : { before };
      if (published.size > head.size) return { ...own, after: published };
      before = published;
    }
    return before === undefined ? {} : { before };
  }

  /** Stores again the edge of each published head, and what leads to the next. What is there stays. */
  async restore(): Promise<void> {
    const { ledger, verifier } = this.#parts;
    let older: SignedHead | undefined;
    for await (const head of ledger.heads(verifier.name)) {
      await this.#bridge(older, head);
      older = head;
    }
  }

  /**
   * Stores what leads from one head to a newer one, and the newer one's edge.
   * @throws ForkError when the newer does not contain the older.
   */
  async #bridge(older: SignedHead | undefined, newer: SignedHead): Promise<void> {
    const { verifier, source, store } = this.#parts;
    const client = new SumdbClient({
      name: verifier.name,
      verifier,
      store,
      ...(older === undefined ? {} : { head: older }),
      source: {
        latest: async () => newer.note,
        lookup: (mv) => source.lookup(mv),
        tile: (tile) => source.tile(tile),
      },
    });
    await this.#parts.storeTiles((await client.advance()).tiles);
  }

  /** Never back: another worker's newer head stays. */
  async #moveTreeHead(head: SignedHead): Promise<void> {
    const { tree, verifier } = this.#parts;
    const key = treeHeadKey(verifier.name);
    for (;;) {
      const current = await tree.get(key, LARGEST_HEAD);
      if (current !== undefined && openTreeHead(current.bytes, verifier).size >= head.size) return;
      if ((await tree.replace(key, head.note, current?.etag)) === "replaced") return;
    }
  }
}

function unfilled(database: string, head: SignedHead): MirrorError {
  const message = `${database}: its head of ${head.size} records waits for the tiles below it; a later run goes on`;
  return new MirrorError("transient", database, message);
}

/** Two heads of one size that are not the same tree: a client that has seen the one would refuse the other. */
function refuseFork(published: SignedHead, head: SignedHead): void {
  if (hashesEqual(published.hash, head.hash)) return;
  const message = `the checksum database shows two histories: it signed two different trees of ${head.size} records`;
  throw new ForkError(message, published.note, head.note, head.hash, []);
}
