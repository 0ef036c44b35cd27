import { describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { compareStamps, type IndexStamp, stampOf } from "../../gomod/index-stamp.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { isRoot } from "../../mirror/decision.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { ModuleIndex } from "../../mirror/feed.ts";
import type { Watermark } from "../../mirror/ledger-entries.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { type Ticked, tick } from "../../mirror/tick.ts";
import { TICK_LEASE } from "../../mirror/tick-lease.ts";
import { work } from "../../mirror/work.ts";
import { CrashingPorts, randomFrom, type Trouble } from "./crashing-ports.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "./made-index.ts";
import { MINUTE, processOf, TestClock } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";

const START = Date.UTC(2026, 10, 23, 9, 30);
const HOUR = 60 * MINUTE;
const PATTERN = { modules: ["example.com"], versions: "all" };

/** A ledger that looks whenever an index's watermark moves: all that the index shows up to there must be recorded. */
class WatchedLedger extends MemoryLedger {
  readonly broken: string[] = [];
  readonly #index: MadeIndex;

  constructor(index: MadeIndex) {
    super();
    this.#index = index;
  }

  override async moveWatermark(watermark: Watermark) {
    const upTo = watermark.timestamp as IndexStamp;
    const passed = this.#index.lines.filter((line) => compareStamps(line.Timestamp as IndexStamp, upTo) <= 0);
    const records = await this.read(
      passed.map(({ Path, Version }) => parseModuleVersion(`${Path}@${Version}`)),
    );
    passed.forEach(({ Path, Version }, at) => {
      const record = records[at];
      if (record === undefined || !isRoot(record)) this.broken.push(`${upTo} passes ${Path}@${Version}`);
    });
    return await super.moveWatermark(watermark);
  }
}

class World {
  readonly upstream = new MadeUpstream();
  readonly index = new MadeIndex();
  readonly clock = new TestClock();
  readonly ledger = new WatchedLedger(this.index);
  readonly tree = new MemoryTree();
  readonly vault = new MemoryVault();
  readonly queue = new MemoryQueue();
  readonly random: () => number;
  #processes = 0;

  constructor(seed = 1) {
    this.random = randomFrom(seed);
  }

  see(name: string, stamp: string, requires: string[] = []): void {
    this.upstream.add(name, { requires });
    this.index.see(name, stamp);
  }

  /** A tick of a process of its own, whose port calls go wrong as told. @returns undefined where it threw. */
  async tick(troubles: readonly Trouble[] = []): Promise<{ ticked: Ticked | undefined; calls: number }> {
    const { tree, vault, ledger, queue } = this;
    // The index is one port more, whose calls may go wrong too.
    const upstream = Object.assign(Object.create(this.upstream) as MadeUpstream & ModuleIndex, {
      page: this.index.page,
    });
    const crashing = new CrashingPorts({ tree, vault, ledger, queue, upstream }, this.random);
    crashing.plan(troubles);
    const owner = `process ${this.#processes++}`;
    const parts = processOf(crashing.ports, this.upstream, this.clock, { owner });
    const port = crashing.ports.upstream as unknown as ModuleIndex;
    const index = { name: "made index", page: (since: IndexStamp) => port.page(since) };
    const settings = indexOnly(index, subscribed(PATTERN), stampOf(START - 3 * HOUR));
    const ticked = await tick(parts, settings, owner).catch(() => undefined);
    return { ticked, calls: crashing.calls };
  }

  async work(): Promise<void> {
    const parts = processOf(this, this.upstream, this.clock);
    await this.queue.drain((order) => work(parts, order, noDeadline), { concurrency: 2 });
  }

  async reconcile(): Promise<void> {
    await reconcile(processOf(this, this.upstream, this.clock), { onlyWriter: false });
  }

  /** Goes on without trouble until nothing is left to do. */
  async settle(): Promise<void> {
    this.index.fault = undefined;
    for (let round = 0; round < 40; round++) {
      this.clock.ms += 11 * MINUTE;
      await this.tick();
      await this.reconcile();
      await this.work();
    }
  }

  async listed(): Promise<string[]> {
    const listed: string[] = [];
    for (const path of new Set(this.index.lines.map(({ Path }) => Path))) {
      const stored = await this.tree.get(`${path}/@v/list` as Parameters<MemoryTree["get"]>[0], 1 << 20);
      const lines = new TextDecoder().decode(stored?.bytes).split("\n").slice(0, -1);
      listed.push(...lines.map((version) => `${path}@${version}`));
    }
    return listed.sort();
  }

  seen(): string[] {
    return [...new Set(this.index.lines.map(({ Path, Version }) => `${Path}@${Version}`))].sort();
  }
}

function small(): World {
  const world = new World();
  world.see("example.com/c@v1.0.0", microStamp(START - 40 * MINUTE));
  world.see("example.com/b@v1.0.0", microStamp(START - 30 * MINUTE), ["example.com/c@v1.0.0"]);
  world.see("example.com/a@v1.0.0", microStamp(START - 30 * MINUTE), ["example.com/b@v1.0.0"]);
  return world;
}

describe("a tick that dies or fails at any call of its ports", () => {
  for (const kind of ["die", "fail"] as const) {
    for (const applied of [false, true]) {
      test(`is made good by the next: ${kind}, ${applied ? "after" : "before"} the call took effect`, async () => {
        const { calls } = await small().tick();
        expect(calls).toBeGreaterThan(15);
        for (let at = 0; at < calls; at++) {
          const world = small();
          await world.tick([{ at, kind, applied }]);
          world.clock.ms += TICK_LEASE;
          const { ticked } = await world.tick();
          expect([at, ticked?.outcome]).toEqual([at, "ticked"]);
          await world.work();
          expect([at, await world.listed()]).toEqual([at, world.seen()]);
          expect([at, world.ledger.broken]).toEqual([at, []]);
          const complete = await completeUntil(world.ledger, "index", world.clock.ms);
          expect([at, complete?.open, complete?.until.slice(0, 13)]).toEqual([at, 0, "2026-11-23T09"]);
          const lines = world.ledger.journalLines.map(({ event, version }) => `${event} ${version.path}`);
          expect([at, new Set(lines).size]).toEqual([at, lines.length]);
        }
      });
    }
  }
});

/** One thing that happens to an index and its mirror. */
async function happen(world: World, step: number): Promise<void> {
  const { random, index, clock } = world;
  const pick = (below: number) => Math.floor(random() * below);
  const trouble = (): Trouble[] =>
    pick(2) === 0 ? [] : [{ at: pick(60), kind: pick(2) === 0 ? "die" : "fail", applied: pick(2) === 0 }];
  switch (pick(9)) {
    case 0:
    case 1: {
      // Visible late, by less than the overlap.
      const late = pick(25) * MINUTE;
      for (let i = pick(4); i >= 0; i--) {
        const requires = pick(2) === 0 ? [] : [world.seen()[pick(world.seen().length)] ?? ""].filter(Boolean);
        world.see(`example.com/m${pick(6)}@v1.${step}.${i}`, microStamp(clock.ms - late, pick(3)), requires);
      }
      return;
    }
    case 2:
    case 3:
      await world.tick(trouble());
      return;
    case 4:
      await Promise.all([world.tick(trouble()), world.tick(trouble())]);
      return;
    case 5: {
      const answers = [
        new MirrorError("transient", "index", "index: 429"),
        Buffer.from("<html>"),
        Buffer.from("not json\n"),
      ];
      const fault = answers[pick(3)];
      index.fault = pick(3) === 0 ? undefined : () => fault;
      return;
    }
    case 6:
      // Another order within a moment, and some lines twice.
      index.lines.sort((a, b) =>
        a.Timestamp < b.Timestamp ? -1 : a.Timestamp > b.Timestamp ? 1 : random() - 0.5,
      );
      if (index.lines.length > 0) index.lines.push(...index.lines.slice(-1));
      return;
    case 7:
      await world.work();
      return;
    case 8:
      clock.ms += pick(3) === 0 ? TICK_LEASE : 3 * MINUTE;
      await world.reconcile();
  }
}

test.each(Array.from({ length: 60 }, (_, i) => i + 1))(
  "whatever happens, nothing is lost and nothing stuck (seed %i)",
  async (seed) => {
    const world = new World(seed);
    for (let step = 0; step < 40; step++) {
      await happen(world, step);
      expect(world.ledger.broken).toEqual([]);
    }
    await world.settle();
    expect(await world.listed()).toEqual(world.seen());
    expect(world.ledger.broken).toEqual([]);
    const complete = await completeUntil(world.ledger, "index", world.clock.ms);
    expect(complete?.open).toBe(0);
    expect(world.clock.ms - Date.parse(complete?.until ?? "")).toBeLessThan(HOUR);
  },
);
