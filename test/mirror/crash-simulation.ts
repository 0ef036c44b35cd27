import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { handIn } from "../../mirror/inbox.ts";
import type { RecordChange, Watermark } from "../../mirror/ledger-entries.ts";
import { type Order, POLL_FEED, type QueueName, type RequestKey } from "../../mirror/orders.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import type { RequestBody } from "../../mirror/requests.ts";
import { work } from "../../mirror/work.ts";
import type { TileExtent } from "../../sumdb/tile-extent.ts";
import { CrashingPorts, randomFrom, type Trouble } from "./crashing-ports.ts";
import { MINUTE, type Ports, processOf, requestBody, TestClock } from "./made-mirror.ts";
import type { MadeUpstream } from "./made-upstream.ts";
import { pollTick } from "./poll-tick.ts";
import { WatchingReader } from "./watching-reader.ts";

/** Something that happens to a mirror, and what goes wrong meanwhile. */
export interface Step {
  readonly action: "hand in" | "work" | "plan" | "reconcile" | "advance" | "grow" | "wait";
  /** Which request, which of the outstanding orders, how many records. */
  readonly pick: number;
  /** Whether the queue hands the orders out once more. */
  readonly twice: boolean;
  readonly troubles: readonly Trouble[];
}

/** What a queue has to hand out, until it is done. */
type Delivery =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "accept"; readonly request: RequestKey };

class WatchedLedger extends MemoryLedger {
  reader: WatchingReader | undefined;
  /** What must be recorded before the watermark moves; undefined where a list could not be read. */
  planned: readonly string[] | undefined;

  override async write(changes: readonly RecordChange[]) {
    const results = await super.write(changes);
    for (const { record } of changes) await this.reader?.lookAtRecord(this, formatModuleVersion(record));
    return results;
  }

  override async moveWatermark(watermark: Watermark) {
    if (watermark.feed !== POLL_FEED) return await super.moveWatermark(watermark);
    const wanted = new Set<string>();
    for await (const record of this.records())
      if (record.wanted === "whole") wanted.add(formatModuleVersion(record));
    for (const name of this.planned ?? [])
      if (!wanted.has(name))
        this.reader?.broken.push(`4: the watermark passes ${name}, which is not recorded`);
    return await super.moveWatermark(watermark);
  }
}

/** A mirror in the cloud, in small: two processes over the same stores, queues that repeat and reorder, crashes. */
export class CrashSimulation {
  readonly clock = new TestClock();
  readonly reader: WatchingReader;
  readonly ledger = new WatchedLedger();
  readonly vault = new MemoryVault();
  readonly requests: RequestKey[] = [];
  planned = false;
  readonly #upstream: MadeUpstream;
  readonly #bodies: readonly Partial<RequestBody>[];
  readonly #feed: readonly string[];
  readonly #random: () => number;
  readonly #tiles: TileExtent;
  readonly #deliveries: Delivery[] = [];
  readonly #stores: Ports;
  readonly #processes: ReturnType<CrashSimulation["newProcess"]>[] = [];
  #started = 0;

  constructor(
    upstream: MadeUpstream,
    bodies: readonly Partial<RequestBody>[],
    feed: readonly string[],
    seed: number,
  ) {
    this.#upstream = upstream;
    this.#bodies = bodies;
    this.#feed = feed;
    this.#random = randomFrom(seed);
    this.#tiles = seed % 2 === 0 ? "needed" : "full";
    this.reader = new WatchingReader(upstream);
    this.ledger.reader = this.reader;
    const queue = {
      send: async (_queue: QueueName, orders: readonly Order[]) =>
        void this.#deliveries.push(...orders.map((order) => ({ kind: "order" as const, order }))),
    };
    const { reader: tree, ledger, vault } = this;
    this.#stores = { tree, ledger, vault, queue, upstream };
  }

  get outstanding(): number {
    return this.#deliveries.length;
  }

  newProcess() {
    const crashing = new CrashingPorts(this.#stores, this.#random);
    const owner = `process ${this.#started++}`;
    const parts = processOf(crashing.ports, this.#upstream, this.clock, { owner, tiles: this.#tiles });
    return { crashing, owner, parts };
  }

  async step({ action, pick, twice, troubles }: Step): Promise<void> {
    switch (action) {
      case "hand in": {
        const body = this.#bodies[pick % this.#bodies.length] as Partial<RequestBody>;
        const request = await handIn({ vault: this.vault, now: this.clock.now }, "test", requestBody(body));
        this.requests.push(request);
        this.#deliveries.push({ kind: "accept", request });
        return;
      }
      case "work":
        await Promise.all([this.#deliver(0, pick, twice, troubles), this.#deliver(1, pick + 1, false, [])]);
        return;
      case "plan":
        this.planned = true;
        await this.#tick(troubles);
        return;
      case "reconcile":
        await this.#run(
          0,
          troubles,
          async ({ parts }) => void (await reconcile(parts, { onlyWriter: false })),
        );
        return;
      case "advance":
        await this.#run(1, troubles, async ({ parts }) => {
          await parts.database.advance();
          await parts.database.complete();
        });
        return;
      case "grow":
        this.#upstream.database.lookupHead = pick % 2 === 0 ? undefined : this.#upstream.database.size;
        this.#upstream.database.grow(1 + (pick % 9));
        return;
      case "wait":
        this.clock.ms += 4 * MINUTE;
    }
  }

  /** Goes on without troubles until all that was asked for is done. @returns what is still left. */
  async settleAll(): Promise<string[]> {
    for (let round = 0; round < 60; round++) {
      for (let guard = 0; this.#deliveries.length > 0 && guard < 500; guard++)
        await this.#deliver(0, 0, false, []);
      // What could not be resolved waits as long as its request is old, and ticks make it days old.
      this.clock.ms += round < 20 ? 11 * MINUTE : 12 * 60 * MINUTE;
      if (this.planned && (await this.#tick([]))) this.planned = false;
      await this.#run(0, [], async ({ parts }) => void (await reconcile(parts, { onlyWriter: false })));
      await this.#run(0, [], async ({ parts }) => void (await parts.database.complete()));
      if (this.#deliveries.length === 0 && !this.planned && (await this.#left()).length === 0) return [];
    }
    return [...(await this.#left()), `${this.#deliveries.length} deliveries`];
  }

  async #left(): Promise<string[]> {
    const left: string[] = [];
    const requests = await this.ledger.dueRequests(Number.MAX_SAFE_INTEGER, 1000);
    for (const { name, time, state } of requests) left.push(`request ${name}/${time} is ${state}`);
    for (const key of this.requests) {
      const state = (await this.ledger.readRequest(key))?.state;
      if (state !== "DONE") left.push(`request ${key.name}/${key.time} is ${state}`);
    }
    for await (const record of this.ledger.records())
      if (record.state !== "READY") left.push(`${formatModuleVersion(record)} is ${record.state}`);
    return left;
  }

  /** @returns whether the tick has read every list and moved the watermark. */
  async #tick(troubles: readonly Trouble[]): Promise<boolean> {
    const feed = this.#feed.map(modulePath);
    // Every module's time has come, also that of one whose list has failed.
    this.clock.ms += 24 * 60 * MINUTE;
    const ofFeed = [...this.#upstream.made.values()].filter(({ version }) => feed.includes(version.path));
    this.ledger.planned = troubles.some(({ kind }) => kind === "fail")
      ? undefined
      : ofFeed.map(({ version }) => formatModuleVersion(version));
    let done = false;
    await this.#run(0, troubles, async ({ parts, owner }) => {
      const read = await pollTick(parts, feed, owner);
      done = read !== "skipped" && read.failed.length === 0 && read.unreached === 0;
    });
    return done;
  }

  async #deliver(process: number, pick: number, twice: boolean, troubles: readonly Trouble[]): Promise<void> {
    if (this.#deliveries.length === 0) return;
    const [delivery] = this.#deliveries.splice(pick % this.#deliveries.length, 1);
    if (delivery === undefined) return;
    const done = await this.#run(process, troubles, async ({ parts }) => {
      if (delivery.kind === "accept") await acceptRequest(parts, delivery.request);
      else await work(parts, delivery.order, noDeadline);
    });
    if (!done || twice) this.#deliveries.push(delivery);
  }

  /** @returns whether it came to its end; what was killed is started anew the next time. */
  async #run(
    number: number,
    troubles: readonly Trouble[],
    act: (process: ReturnType<CrashSimulation["newProcess"]>) => Promise<void>,
  ): Promise<boolean> {
    const known = this.#processes[number];
    const process = known === undefined || known.crashing.dead ? this.newProcess() : known;
    this.#processes[number] = process;
    process.crashing.plan(troubles);
    try {
      await act(process);
      return !process.crashing.dead;
    } catch {
      return false;
    }
  }
}
