import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import { zipChecker } from "../../../adapters/local/zip-checker.ts";
import { stampOf } from "../../../gomod/index-stamp.ts";
import { formatModuleVersion, type ModuleVersion } from "../../../gomod/version.ts";
import { acceptRequest } from "../../../mirror/accept.ts";
import { MirrorError } from "../../../mirror/errors.ts";
import type { ModuleIndex } from "../../../mirror/feed.ts";
import { collectGarbage } from "../../../mirror/garbage/collect.ts";
import { dropRequest } from "../../../mirror/garbage/drops.ts";
import { garbageSettings, garbageShape } from "../../../mirror/garbage/settings.ts";
import { handIn } from "../../../mirror/inbox.ts";
import type { RecordChange } from "../../../mirror/ledger-entries.ts";
import type { Order, QueueName, RequestKey } from "../../../mirror/orders.ts";
import { noDeadline } from "../../../mirror/parts.ts";
import { reconcile } from "../../../mirror/reconcile.ts";
import { handedInAt } from "../../../mirror/requests.ts";
import { listSnapshots } from "../../../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import { isPinned, pinSnapshot, pinsOf, unpinSnapshot } from "../../../mirror/snapshot/pin.ts";
import { takeSnapshot } from "../../../mirror/snapshot/take.ts";
import { tick } from "../../../mirror/tick.ts";
import { verifyMirror } from "../../../mirror/verify.ts";
import { work } from "../../../mirror/work.ts";
import { CrashingPorts, randomFrom } from "../../mirror/crashing-ports.ts";
import { indexOnly, MadeIndex, subscribed } from "../../mirror/made-index.ts";
import { MINUTE, type Ports, processOf, requestBody, TestClock } from "../../mirror/made-mirror.ts";
import type { MadeUpstream } from "../../mirror/made-upstream.ts";
import { memorySpool } from "../../mirror/snapshot/snapshot-world.ts";
import { WatchingReader } from "../../mirror/watching-reader.ts";
import { onWaiting } from "../deterministic.ts";
import { Broken, count, type Tally } from "../simulation.ts";
import { LATER, universe } from "../universe.ts";
import { trace } from "../watched-ledger.ts";
import type { Act, Step } from "./garbage-schedule.ts";
import { BODIES, NAMES, SUBSCRIPTIONS, seeAll, WANTED_BY } from "./garbage-universe.ts";
import { ListsShown } from "./lists-shown.ts";
import { add, closedByHand, type Extents, type HandedIn, needsByHand } from "./referred.ts";

type Delivery =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "accept"; readonly request: RequestKey };

interface Stalled {
  /** The unit of work's 300 s are over then. */
  readonly until: number;
  steps: number;
  readonly process: Process;
  readonly resume: () => void;
}

type Process = ReturnType<GarbageSimulation["newProcess"]>;

/** A unit of work lives no longer, in ms. */
const LONGEST_UNIT = 300_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** Clocks of processes are minutes apart: nobody relies upon a moment within this of another. */
const DOUBT = 10 * MINUTE;
const KEPT_FOR = 90 * DAY;
const SETTINGS = garbageSettings(
  garbageShape.parse({ requests: "90d", window: "1d", review: "20m", largestShare: 1 }),
  undefined,
);

class LookingLedger extends MemoryLedger {
  readonly #look: (name: string) => Promise<void>;

  constructor(look: (name: string) => Promise<void>) {
    super();
    this.#look = look;
  }

  override async write(changes: readonly RecordChange[]) {
    const results = await super.write(changes);
    for (const { record } of changes) {
      trace(
        () =>
          `  ${formatModuleVersion(record)} ${record.state} ${record.held} ${JSON.stringify(record.removal ?? {})}`,
      );
      await this.#look(formatModuleVersion(record));
    }
    return results;
  }
}

/**
 * A mirror in the cloud, in small, that collects garbage while it works: three processes with clocks of their own over the
 * same stores, units of work that hang while others go on, crashes and failures at any call of a port. What is referred to
 * is known from what was done, and from how the modules were made.
 */
export class GarbageSimulation {
  readonly clock = new TestClock();
  readonly upstream: MadeUpstream = universe(LATER.length);
  readonly index = new MadeIndex();
  readonly reader: WatchingReader;
  readonly ledger: MemoryLedger;
  readonly vault = new MemoryVault();
  readonly #shown: ListsShown;
  readonly #requests: HandedIn[] = [];
  /** What each snapshot has had since it was taken. */
  readonly #snapshots = new Map<string, Extents>();
  /** When a drop of a name had begun, in true time. */
  readonly #dropped = new Map<string, number>();
  readonly #random: () => number;
  readonly #tally: Tally;
  readonly #deliveries: Delivery[] = [];
  readonly #stores: Ports;
  readonly #skews: readonly number[];
  readonly #stalled: Stalled[] = [];
  #background: Promise<void>[] = [];
  #subscription = 0;
  #started = 0;

  constructor(seed: number, tally: Tally = new Map()) {
    this.#random = randomFrom(seed);
    this.#tally = tally;
    this.#skews = [0, 1, 2].map((at) => (at === 0 ? 0 : Math.floor(this.#random() * 9 - 4) * MINUTE));
    this.#shown = new ListsShown(this.upstream.made, () => this.clock.ms);
    this.reader = new WatchingReader(this.upstream);
    const { reader } = this;
    this.ledger = new LookingLedger((name) => reader.lookAtRecord(this.ledger, name));
    const { now } = this.clock;
    seeAll(this.index, now());
    const never = () => false;
    const blocks = {
      isBlocked: never,
      isUnsettled: never,
      mayLack: never,
      wasBlocked: never,
      mayBeRefused: never,
    };
    reader.takenOut = { ledger: this.ledger, vault: this.vault, now, ...blocks };
    reader.collected = {
      removed: (version, file) => this.#removed(version, file),
      mayGoOffList: () => true,
    };
    const tree = this.#shown.watch(reader);
    const queue = {
      send: async (_queue: QueueName, orders: readonly Order[]) =>
        void this.#deliveries.push(...orders.map((order) => ({ kind: "order" as const, order }))),
    };
    const { upstream } = this;
    const { name, list, latest, info, mod, zip } = upstream;
    const outside = {
      name,
      list,
      latest,
      info,
      mod,
      zip,
      page: this.index.page,
      sumdb: () => upstream.sumdb(),
    };
    this.#stores = { tree, ledger: this.ledger, vault: this.vault, queue, upstream: outside };
    onWaiting((ms) => {
      this.clock.ms += ms;
    });
  }

  newProcess(number: number, stallAt?: number) {
    let stall = stallAt;
    const crashing: CrashingPorts = new CrashingPorts(this.#stores, this.#random, {
      deep: true,
      onTrouble: ({ kind, applied }) =>
        count(
          this.#tally,
          `${kind === "die" ? "killed" : "failed"} ${applied ? "after" : "before"} the call`,
        ),
      onCall: (call) => {
        this.clock.ms += Math.floor(this.#random() * 50);
        count(this.#tally, "port calls");
        if (call !== stall) return undefined;
        stall = undefined;
        return this.#stall(process);
      },
    });
    const skew = this.#skews[number] ?? 0;
    const clock = { ms: 0, now: () => this.clock.now() + skew };
    const owner = `process ${this.#started++}`;
    const parts = processOf(crashing.ports, this.upstream, clock, { owner, tiles: "needed" });
    const process = { crashing, owner, parts, since: this.clock.ms, hangs: () => {} };
    return process;
  }

  /** All acts of a step at once, and what hung until now and goes on. */
  async step(acts: Step): Promise<void> {
    trace(() => `${new Date(this.clock.ms).toISOString()} ${JSON.stringify(acts)}`);
    for (const stalled of [...this.#stalled]) {
      if (stalled.steps-- > 0) continue;
      this.#stalled.splice(this.#stalled.indexOf(stalled), 1);
      stalled.resume();
    }
    const before = this.#background;
    this.#background = [];
    const going = [
      ...before,
      ...acts.map((act, at) => this.#act({ ...act, process: (act.process + at) % 3 })),
    ];
    await this.#untilDoneOrHanging(going);
    await this.#look();
  }

  /** Whoever hangs goes on in a later step. */
  async #untilDoneOrHanging(going: readonly Promise<void>[]): Promise<void> {
    const open = new Set(going);
    const failures: unknown[] = [];
    for (const one of going)
      one.then(
        () => open.delete(one),
        (thrown: unknown) => {
          open.delete(one);
          failures.push(thrown);
        },
      );
    // Each call of a port gives the others some turns; a process that makes none for so many hangs.
    for (let idle = 0; open.size > 0 && failures.length === 0; idle++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (open.size <= this.#stalled.length && idle > 3) break;
    }
    if (failures.length > 0) throw failures[0];
    this.#background = [...open];
  }

  async #look(): Promise<void> {
    await this.reader.lookAtLists();
    await this.#lookAtCurrent();
    if (this.reader.broken.length > 0) throw new Broken(this.reader.broken);
  }

  #stall(process: Process): Promise<void> {
    count(this.#tally, "hung");
    return new Promise((resume) => {
      const steps = Math.floor(this.#random() * 3);
      this.#stalled.push({ until: process.since + LONGEST_UNIT, steps, process, resume });
    });
  }

  /** Time passes; a unit of work whose time is up by then is killed where it hangs. */
  #wait(ms: number): void {
    this.clock.ms += ms;
    for (const stalled of [...this.#stalled]) {
      if (this.clock.ms <= stalled.until) continue;
      stalled.process.crashing.dead = true;
      this.#stalled.splice(this.#stalled.indexOf(stalled), 1);
      stalled.resume();
    }
  }

  async #act(act: Act): Promise<void> {
    const { action, pick } = act;
    count(this.#tally, action);
    switch (action) {
      case "hand in":
        await this.#handIn(pick);
        return;
      case "drop":
        await this.#drop(act);
        return;
      case "work":
        for (let left = 1 + (pick % 4); left > 0; left--) await this.#deliver(act, pick, act.twice);
        return;
      case "tick":
        await this.#tick(act);
        return;
      case "reconcile":
        await this.#run(
          act,
          async ({ parts, owner }) => void (await reconcile(parts, { onlyWriter: false, owner })),
        );
        return;
      case "collect":
        await this.#collect(act);
        return;
      case "snapshot":
        await this.#snapshot(act);
        return;
      case "pin":
      case "unpin":
        await this.#pin(act);
        return;
      case "subscribe":
        this.#subscription = pick % SUBSCRIPTIONS.length;
        return;
      case "upstream fault":
        this.#upstreamFault(pick);
        return;
      case "wait":
        this.#wait(
          [
            10_000,
            MINUTE,
            2 * MINUTE,
            16 * MINUTE,
            40 * MINUTE,
            40 * MINUTE,
            90 * MINUTE,
            DAY,
            26 * HOUR,
            2 * DAY,
            91 * DAY,
          ][pick % 11] as number,
        );
    }
  }

  async #handIn(pick: number): Promise<void> {
    const { wishes, exact } = BODIES[pick % BODIES.length] as (typeof BODIES)[number];
    const name = NAMES[Math.floor(pick / BODIES.length) % NAMES.length] as string;
    const at = this.clock.ms;
    const parts = { vault: this.vault, now: this.clock.now };
    const request = await handIn(parts, name, requestBody({ wishes: [...wishes], exact: [...exact] }));
    this.#requests.push({ ...request, at, wishes, exact });
    this.#deliveries.push({ kind: "accept", request });
  }

  async #drop(act: Act): Promise<void> {
    const name = NAMES[act.pick % NAMES.length] as string;
    // From now on nothing is promised of what was handed in before.
    this.#dropped.set(name, this.clock.ms + DOUBT);
    await this.#run(act, async ({ parts }) => {
      try {
        await dropRequest(parts, name, "op@host");
      } catch (thrown) {
        if (!(thrown instanceof MirrorError && thrown.class === "misuse")) throw thrown;
      }
    });
    // By the operator's own clock, and perhaps long after it had begun.
    this.#dropped.set(name, this.clock.ms + DOUBT);
  }

  async #tick(act: Act): Promise<void> {
    const list = SUBSCRIPTIONS[this.#subscription] ?? [];
    await this.#run(act, async ({ parts, owner, crashing }) => {
      const port = crashing.ports.upstream as unknown as ModuleIndex;
      const index: ModuleIndex = { name: "made index", page: (since) => port.page(since) };
      const from = stampOf(Date.UTC(2026, 10, 23, 6));
      await tick(parts, { ...indexOnly(index, subscribed(...list), from), poll: {} }, owner);
    });
  }

  async #collect(act: Act): Promise<void> {
    const subscriptions = subscribed(...(SUBSCRIPTIONS[this.#subscription] ?? []));
    await this.#run(act, async ({ parts, owner }) => {
      const options = { settings: SETTINGS, subscriptions, owner, onlyWriter: false, deadline: noDeadline };
      const { deleted, acted, kept } = await collectGarbage({ ...parts, provable: () => true }, options);
      count(this.#tally, "versions collected", deleted.versions);
      count(this.#tally, "versions begun", acted?.removing ?? 0);
      count(this.#tally, "versions spared", acted?.spared ?? 0);
      count(this.#tally, "versions kept after all", kept);
    });
  }

  async #snapshot(act: Act): Promise<void> {
    await this.#run(act, async ({ parts, owner }) => {
      const { tree, vault, ledger, now } = parts;
      const taken = await takeSnapshot(
        { tree, vault, ledger, now, spool: memorySpool },
        { owner, closedAfter: DOUBT },
      );
      count(this.#tally, `snapshot ${taken.outcome}`);
    });
  }

  async #pin(act: Act): Promise<void> {
    const { vault, ledger } = this;
    const kept = (await listSnapshots({ vault, ledger })).filter(({ state }) => state === "kept");
    const snapshot = kept[act.pick % Math.max(1, kept.length)]?.name;
    if (snapshot === undefined) return;
    await this.#run(act, async ({ parts }) => {
      try {
        const pin = { snapshot, reason: "release", by: "op@host", at: parts.now() };
        if (act.action === "pin") await pinSnapshot(parts.ledger, pin);
        else await unpinSnapshot(parts.ledger, snapshot);
      } catch (thrown) {
        if (!(thrown instanceof MirrorError && thrown.class === "misuse")) throw thrown;
      }
    });
  }

  #upstreamFault(pick: number): void {
    this.upstream.wrong.clear();
    if (pick % 3 === 0) return;
    const made = [...this.upstream.made.keys()];
    const name = made[pick % made.length] as string;
    const kind = (["zip", "info", "mod", "lookup"] as const)[pick % 4] as string;
    this.upstream.wrong.set(`${kind} ${name}`, new MirrorError("transient", name, `${name}: 503`));
  }

  async #deliver(act: Act, pick: number, twice: boolean): Promise<void> {
    if (this.#deliveries.length === 0) return;
    const [delivery] = this.#deliveries.splice(pick % this.#deliveries.length, 1);
    if (delivery === undefined) return;
    const done = await this.#run(act, async ({ parts }) => {
      if (delivery.kind === "accept") await acceptRequest(parts, delivery.request);
      else await work(parts, delivery.order, noDeadline);
    });
    if (!done || twice) this.#deliveries.push(delivery);
  }

  async #run(
    { process: number, troubles, stall }: Act,
    act: (process: Process) => Promise<void>,
  ): Promise<boolean> {
    const process = this.newProcess(number, stall);
    process.crashing.plan(troubles);
    try {
      await act(process);
      return !process.crashing.dead;
    } catch (thrown) {
      if (thrown instanceof TypeError || thrown instanceof RangeError || thrown instanceof ReferenceError)
        throw thrown;
      trace(() => `  ${process.owner}: ${String(thrown)}`);
      return false;
    }
  }

  /** What is wrong with taking out this file at this moment. */
  async #removed(version: ModuleVersion, file: "info" | "mod" | "zip"): Promise<readonly string[]> {
    const name = formatModuleVersion(version);
    count(this.#tally, `${file} deleted`);
    const problems: string[] = [];
    const needs = (extents: Extents) =>
      extents.get(name) === "whole" || (file === "mod" && extents.get(name) === "mod");
    for (const request of await this.#promised())
      if (needs(needsByHand(this.upstream.made, request)))
        problems.push(`10: ${name} .${file} was deleted, but ${request.name}/${request.time} needs it`);
    for (const snapshot of await this.#keptSnapshots())
      if (needs(snapshot.extents))
        problems.push(`10: ${name} .${file} was deleted, but snapshot ${snapshot.name} has it`);
    problems.push(...this.#shown.stillShown(name, file));
    return problems;
  }

  /**
   * The requests whose closure must be there: of each name the newest DONE one, as long as nothing newer has been handed in
   * but what is still to be resolved, nobody has begun to drop it, and it has not expired by anybody's clock.
   */
  async #promised(): Promise<HandedIn[]> {
    const promised: HandedIn[] = [];
    const now = this.clock.ms;
    for (const name of NAMES) {
      const newestFirst = this.#requests
        .filter((request) => request.name === name)
        .sort((a, b) => (a.time < b.time ? 1 : -1));
      for (const request of newestFirst) {
        const isOver = request.at <= (this.#dropped.get(name) ?? -1) || request.at + KEPT_FOR < now + DOUBT;
        if (isOver) break;
        const state = (await this.ledger.readRequest(request))?.state;
        if (state === "DONE") promised.push(request);
        if (state === "DONE" || state === "INCOMPLETE" || state === "ENDED") break;
      }
    }
    return promised;
  }

  async #keptSnapshots(): Promise<{ readonly name: string; readonly extents: Extents }[]> {
    const { vault, ledger } = this;
    const found: { readonly name: string; readonly extents: Extents }[] = [];
    for (const { name, state } of await listSnapshots({ vault, ledger })) {
      if (state !== "kept") continue;
      const known = this.#snapshots.get(name);
      const extents: Extents = known ?? new Map();
      if (known === undefined) {
        const snapshot = await openSnapshot(vault, name);
        for await (const entry of snapshot?.entries() ?? [])
          extents.set(formatModuleVersion(entry), entry.held);
        await snapshot?.close();
        this.#snapshots.set(name, extents);
      }
      found.push({ name, extents });
    }
    return found;
  }

  /** What is promised is there at this moment. */
  async #lookAtCurrent(): Promise<void> {
    const expected: { readonly by: string; readonly extents: Extents }[] = [
      ...(await this.#promised()).map((request) => ({
        by: `${request.name}/${request.time}`,
        extents: needsByHand(this.upstream.made, request),
      })),
      ...(await this.#keptSnapshots()).map(({ name, extents }) => ({ by: `snapshot ${name}`, extents })),
    ];
    for (const { by, extents } of expected)
      for (const [name, extent] of extents)
        for (const suffix of extent === "whole" ? ["mod", "zip", "info"] : ["mod"]) {
          const key = `${name.replace("@", "/@v/")}.${suffix}` as Parameters<WatchingReader["get"]>[0];
          if ((await this.reader.get(key, 1 << 24)) === undefined)
            this.reader.broken.push(`10: ${by} needs ${key}, which is not there`);
        }
  }

  /** Goes on without troubles, in days, until all work and all collection has ended. @returns what is left. */
  async settle(): Promise<string[]> {
    trace(() => "settle");
    this.upstream.wrong.clear();
    while (this.#background.length > 0) {
      this.#wait(LONGEST_UNIT + 1);
      await this.#untilDoneOrHanging(this.#background);
    }
    await this.#unpinAll();
    let left: string[] = [];
    for (let round = 0; round < 30; round++) {
      for (let guard = 0; this.#deliveries.length > 0 && guard < 500; guard++)
        await this.#deliver(calm(0), 0, false);
      this.clock.ms += 11 * MINUTE;
      await this.#run(
        calm(1),
        async ({ parts, owner }) => void (await reconcile(parts, { onlyWriter: false, owner })),
      );
      if (round >= 3) {
        this.clock.ms += 13 * HOUR;
        await this.#collect(calm(round % 3));
        await this.#snapshot(calm(0));
      }
      await this.#look();
      left = await this.#left();
      if (round >= 8 && left.length === 0) return [];
    }
    return left;
  }

  async #unpinAll(): Promise<void> {
    for (const { snapshot } of await pinsOf(this.ledger)) await unpinSnapshot(this.ledger, snapshot);
    if (isPinned(await pinsOf(this.ledger), "" as never, 0)) throw new Error("still pinned");
  }

  /** What is held and not needed, or needed and not held, once work has ended. */
  async #left(): Promise<string[]> {
    const left = this.#deliveries.map(({ kind }) => `${kind} to be delivered`);
    const needed: Extents = new Map();
    for (const request of this.#requests) {
      const state = (await this.ledger.readRequest(request))?.state;
      if (state === undefined || state === "OPEN" || state === "RESOLVED" || state === "INCOMPLETE")
        left.push(`${request.name}/${request.time} is ${state}`);
    }
    for (const request of await this.#current())
      for (const [name, extent] of needsByHand(this.upstream.made, request)) add(needed, name, extent);
    const listed = new Set<string>();
    for await (const record of this.ledger.records()) {
      const name = formatModuleVersion(record);
      if (record.listed) listed.add(name);
      const isHeldWhole = record.held === "whole" && record.state === "READY";
      if (isHeldWhole && WANTED_BY[this.#subscription]?.(name) === true)
        for (const [other, extent] of needsByHand(this.upstream.made, { wishes: [name], exact: [] }))
          add(needed, other, extent);
    }
    const kept = closedByHand(this.upstream.made, needed, listed);
    for await (const record of this.ledger.records()) {
      const name = formatModuleVersion(record);
      const wanted = kept.get(name) ?? "nothing";
      if (record.held !== wanted || (wanted === "nothing") !== (record.state === "REMOVED"))
        left.push(`${name} is ${record.state} and held ${record.held}; needed: ${wanted}`);
      kept.delete(name);
    }
    for (const name of kept.keys()) left.push(`${name} is needed and not known`);
    return left;
  }

  /** By the mirror's own drops, since one that died may or may not have dropped. */
  async #current(): Promise<HandedIn[]> {
    const current: HandedIn[] = [];
    for (const name of NAMES) {
      const [newest] = this.#requests
        .filter((request) => request.name === name)
        .sort((a, b) => (a.time < b.time ? 1 : -1));
      const item = await this.ledger.readItem("control", `drop/${name}`);
      const dropped = Number(item?.value.at ?? -1);
      if (newest === undefined || handedInAt(newest) <= dropped) continue;
      if (handedInAt(newest) + KEPT_FOR < this.clock.ms) continue;
      current.push(newest);
    }
    return current;
  }

  /** When all has ended: `modferry verify`, and the tree has what the ledger holds and no file more. */
  async lookAtEnd(): Promise<void> {
    await this.reader.lookAtAll();
    const expected = new Set<string>();
    const known = new Set<string>();
    for await (const record of this.ledger.records()) {
      const base = `${record.path}/@v/${record.version}`;
      known.add(base);
      if (record.held !== "nothing") expected.add(`${base}.mod`);
      if (record.held === "whole") expected.add(`${base}.zip`).add(`${base}.info`);
    }
    // A worker that died between storing a file and noting it left one that no record knows; scrub finds it.
    for await (const { key } of this.reader.keys())
      if (known.has(key.replace(/\.(?:mod|zip|info)$/, "")) && !expected.has(key))
        this.reader.broken.push(`8: ${key} is in the tree, and the ledger holds no such file`);
    const verifiers = [this.upstream.database.verifier];
    const { reader: tree, ledger } = this;
    const { findings } = await verifyMirror({
      tree,
      ledger,
      zips: zipChecker,
      verifiers,
      progress: () => {},
    });
    const found = findings
      .filter(({ message }) => !message.includes("the ledger does not know it"))
      .map(({ subject, message }) => `8: verify: ${subject}: ${message}`);
    const broken = [...this.reader.broken, ...found];
    if (broken.length > 0) throw new Broken(broken);
  }
}

function calm(process: number): Act {
  return { action: "work", pick: 0, process, twice: false, troubles: [], stall: undefined };
}
