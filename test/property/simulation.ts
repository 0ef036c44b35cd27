import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { stampOf } from "../../gomod/index-stamp.ts";
import { formatModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { acceptRequest } from "../../mirror/accept.ts";
import { applyBlock, handInBlock } from "../../mirror/block.ts";
import { blockOf, readBlocks } from "../../mirror/blocks.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { ModuleIndex } from "../../mirror/feed.ts";
import { handIn } from "../../mirror/inbox.ts";
import { isFeedName, type Order, type QueueName, type RequestKey } from "../../mirror/orders.ts";
import { noDeadline } from "../../mirror/parts.ts";
import { reconcile } from "../../mirror/reconcile.ts";
import { parseRequestInboxKey } from "../../mirror/requests.ts";
import { tick } from "../../mirror/tick.ts";
import { unblock } from "../../mirror/unblock.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { work } from "../../mirror/work.ts";
import { CrashingPorts, randomFrom } from "../mirror/crashing-ports.ts";
import { indexOnly, MadeIndex, microStamp, subscribed } from "../mirror/made-index.ts";
import { MINUTE, type Ports, processOf, requestBody, TestClock } from "../mirror/made-mirror.ts";
import type { MadeUpstream } from "../mirror/made-upstream.ts";
import { WatchingReader } from "../mirror/watching-reader.ts";
import { BlockWatch } from "./block-watch.ts";
import { onWaiting } from "./deterministic.ts";
import type { Act, Step } from "./schedule.ts";
import { BLOCKS, BODIES, LATER, POLICIES, RELEASES, SUBSCRIPTIONS, universe } from "./universe.ts";
import { trace, WatchedLedger } from "./watched-ledger.ts";

/** What a queue has to hand out, until it is done. */
type Delivery =
  | { readonly kind: "order"; readonly order: Order }
  | { readonly kind: "accept"; readonly request: RequestKey };

/** A process may be a unit of work that began before its configuration changed; such live 300 s at most. */
const LONGEST_UNIT = 5 * MINUTE;
const HOUR = 60 * MINUTE;
const BY = "op@host";
/** What people hand in their requests under. */
const NAMES = ["test", "team/app", "org/team/app/main"];

/** What came to pass in schedules, counted. */
export type Tally = Map<string, number>;

export function count(tally: Tally, what: string, by = 1): void {
  tally.set(what, (tally.get(what) ?? 0) + by);
}

/**
 * A mirror in the cloud, in small: three processes over the same stores, each with a clock of its own, queues that
 * repeat and reorder, crashes and failures at any call of a port.
 */
export class Simulation {
  readonly clock = new TestClock();
  readonly upstream: MadeUpstream;
  readonly index = new MadeIndex();
  readonly reader: WatchingReader;
  readonly ledger: WatchedLedger;
  readonly vault = new MemoryVault();
  readonly blocks = new BlockWatch();
  readonly bodies = new Set<number>();
  released = 0;
  /** Whether a tick has begun: then all that the index shows is wanted. */
  ticked = false;
  readonly #random: () => number;
  readonly #seed: number;
  readonly #tally: Tally;
  readonly #deliveries: Delivery[] = [];
  readonly #stores: Ports;
  readonly #processes: (ReturnType<Simulation["newProcess"]> | undefined)[] = [];
  readonly #skews: readonly number[];
  #policy = 0;
  #policySince = 0;
  #hadPolicy = false;
  #started = 0;
  /** Names whose unblock came to its end since they were last blocked. */
  readonly #unblocked = new Set<string>();

  constructor(seed: number, tally: Tally = new Map()) {
    this.#seed = seed;
    this.#random = randomFrom(seed);
    this.#tally = tally;
    this.upstream = universe();
    // Unlike clocks of machines that are kept by NTP: minutes apart.
    this.#skews = [0, 1, 2].map((at) => (at === 0 ? 0 : Math.floor(this.#random() * 9 - 4) * MINUTE));
    this.reader = new WatchingReader(this.upstream);
    const { now } = this.clock;
    for (const [at, { name }] of RELEASES.entries())
      this.index.see(name, microStamp(now() - (90 - at) * MINUTE));
    this.ledger = new WatchedLedger(this.reader, this.index.lines);
    const { reader: tree, ledger, vault, blocks } = this;
    const { isBlocked, isUnsettled, mayLack, wasBlocked } = blocks;
    const mayBeRefused = (name: string) => this.#hadPolicy || blocks.wasEverBlocked(name);
    this.reader.takenOut = { ledger, vault, now, isBlocked, isUnsettled, mayLack, wasBlocked, mayBeRefused };
    const queue = {
      send: async (_queue: QueueName, orders: readonly Order[]) =>
        void this.#deliveries.push(...orders.map((order) => ({ kind: "order" as const, order }))),
    };
    const { upstream } = this;
    const { name, list, latest, info, mod, zip } = upstream;
    const page = this.index.page;
    // The index is one port more, whose calls may go wrong too.
    const outside = { name, list, latest, info, mod, zip, page, sumdb: () => upstream.sumdb() };
    this.#stores = { tree, ledger, vault, queue, upstream: outside };
    onWaiting((ms) => {
      this.clock.ms += ms;
    });
  }

  newProcess(number = 0) {
    const crashing = new CrashingPorts(this.#stores, this.#random, {
      deep: true,
      onTrouble: ({ kind, applied }) =>
        count(
          this.#tally,
          `${kind === "die" ? "killed" : "failed"} ${applied ? "after" : "before"} the call`,
        ),
      onCall: () => {
        this.clock.ms += Math.floor(this.#random() * 50);
        count(this.#tally, "port calls");
      },
    });
    const skew = this.#skews[number] ?? 0;
    const clock = { ms: 0, now: () => this.clock.now() + skew };
    const policy = POLICIES[this.#policy];
    const tiles = this.#seed % 2 === 0 ? "needed" : "full";
    const owner = `process ${this.#started++}`;
    const parts = processOf(crashing.ports, this.upstream, clock, {
      owner,
      tiles,
      ...(policy && { policy }),
    });
    return { crashing, owner, parts, since: this.clock.ms };
  }

  /** All acts of a step at once. */
  async step(acts: Step): Promise<void> {
    this.blocks.beginStep();
    trace(() => `${new Date(this.clock.ms).toISOString()} ${JSON.stringify(acts)}`);
    // One operator, who waits for the one command before the next.
    const byHand = acts.filter(({ action }) => action === "block" || action === "unblock");
    // A process does one thing at a time, and a feed's tick two planners may do.
    const others = acts.filter((act) => !byHand.includes(act));
    const isAlone = acts.length === 1;
    await Promise.all([
      ...others.map((act, at) => this.#act({ ...act, process: (act.process + at) % 3 }, isAlone)),
      ...byHand.slice(0, 1).map((act) => this.#byHand(act, isAlone)),
    ]);
    await this.reader.lookAtLists();
    await this.#lookAtCompleteness();
    if (this.reader.broken.length > 0) throw new Broken(this.reader.broken);
  }

  async #act(act: Act, isAlone: boolean): Promise<void> {
    const { action, pick, twice } = act;
    count(this.#tally, action);
    switch (action) {
      case "hand in":
        await this.#handIn(pick % BODIES.length);
        return;
      case "work":
        for (let left = 1 + (pick % 4); left > 0; left--) await this.#deliver(act, pick, twice);
        return;
      case "tick":
        await this.#tick(act);
        return;
      case "reconcile":
        await this.#reconcile(act, isAlone);
        return;
      case "advance":
        await this.#run(act, async ({ parts }) => {
          await parts.database.advance();
          await parts.database.complete();
        });
        return;
      case "policy":
        this.#policy = pick % POLICIES.length;
        this.#policySince = this.clock.ms;
        this.#hadPolicy ||= POLICIES[this.#policy] !== undefined;
        // The others go on as they are till they have ended.
        this.#processes[act.process] = undefined;
        return;
      case "release":
        this.#release(pick);
        return;
      case "index fault":
        this.#indexFault(pick);
        return;
      case "index shuffle":
        this.#shuffle();
        return;
      case "upstream fault":
        this.#upstreamFault(pick);
        return;
      case "grow":
        this.upstream.database.lookupHead = pick % 2 === 0 ? undefined : this.upstream.database.size;
        this.upstream.database.grow(1 + (pick % 9));
        return;
      case "wait":
        this.clock.ms += [10_000, 2 * MINUTE, 5 * MINUTE, 11 * MINUTE, 40 * MINUTE][pick % 5] as number;
    }
  }

  async #handIn(body: number): Promise<void> {
    this.bodies.add(body);
    const request = await handIn(
      { vault: this.vault, now: this.clock.now },
      NAMES[body % NAMES.length] as string,
      requestBody(BODIES[body] as (typeof BODIES)[number]),
    );
    this.#deliveries.push({ kind: "accept", request });
  }

  async #tick(act: Act): Promise<boolean> {
    this.ticked = true;
    const lines = [...this.index.lines];
    let isAtEnd = false;
    await this.#run(act, async ({ parts, owner, crashing }) => {
      const port = crashing.ports.upstream as unknown as ModuleIndex;
      const index: ModuleIndex = { name: "made index", page: (since) => port.page(since) };
      const from = stampOf(Date.UTC(2026, 10, 23, 6));
      const feeds = indexOnly(index, subscribed(...SUBSCRIPTIONS), from);
      const ticked = await tick(parts, this.#seed % 3 === 0 ? { ...feeds, poll: {} } : feeds, owner);
      isAtEnd = ticked.outcome === "ticked" && ticked.indexes.every((read) => read.isAtEnd);
      if (isAtEnd) this.ledger.readAtEnd = lines;
    });
    return isAtEnd;
  }

  async #reconcile(act: Act, isAlone: boolean): Promise<void> {
    await this.#run(act, async ({ parts, owner }) => {
      const now = parts.now();
      const { failed } = await reconcile(parts, { onlyWriter: false, owner });
      if (failed.length === 0 && isAlone) this.blocks.reconciled(now);
    });
  }

  /** A command of an operator, in a process of its own. */
  async #byHand({ action, pick, troubles }: Act, isAlone: boolean): Promise<void> {
    count(this.#tally, action);
    const process = this.newProcess();
    const { parts, crashing } = process;
    crashing.plan(troubles);
    const held = this.blocks.names;
    const name =
      action === "unblock" && held.length > 0
        ? (held[pick % held.length] as string)
        : (BLOCKS[pick % BLOCKS.length] as string);
    try {
      if (action === "block") await this.#block(parts, name, isAlone);
      else await this.#unblock(parts, name, isAlone);
    } catch (thrown) {
      if (isFault(thrown)) throw thrown;
    }
    // Whatever became of it: the ledger says whether it counts.
    const inForce = await readBlocks(this.ledger);
    if (inForce.some((block) => block.name === name)) this.blocks.written(name);
  }

  async #block(parts: ReturnType<typeof processOf>, name: string, isAlone: boolean): Promise<void> {
    this.blocks.begin(name, parts.now(), isAlone);
    this.#unblocked.delete(name);
    const written = await handInBlock(parts, name, "bad", BY);
    this.blocks.written(name);
    await applyBlock(parts, written);
    this.blocks.returned(name, this.clock.ms, isAlone);
    if (isAlone) await this.lookAtBlocked();
  }

  async #unblock(parts: ReturnType<typeof processOf>, name: string, isAlone = true): Promise<void> {
    this.blocks.unblocking(name, isAlone);
    try {
      await unblock(parts, name, BY);
    } catch (thrown) {
      if (!(thrown instanceof MirrorError && thrown.class === "misuse")) throw thrown;
    }
    this.blocks.unblocked(name);
    this.#unblocked.add(name);
  }

  /** What a settled block names is neither in the tree nor listed. */
  async lookAtBlocked(): Promise<void> {
    for (const name of this.upstream.made.keys()) {
      if (!this.blocks.isBlocked(name) || this.blocks.isUnsettled(name)) continue;
      // A zip that nobody has noted stays until the second pass, and is refused meanwhile.
      const [record] = await this.ledger.read([parseModuleVersion(name)]);
      if (
        record !== undefined &&
        record.held !== "whole" &&
        record.state !== "BLOCKED" &&
        !this.blocks.isOver(name)
      )
        continue;
      const [path, version] = name.split("@");
      const key = `${path}/@v/${version}.zip` as Parameters<WatchingReader["open"]>[0];
      const stored = await this.reader.open(key);
      if (stored !== undefined) this.reader.broken.push(`10: ${name} is blocked, and its zip in the tree`);
      await stored?.close();
    }
    await this.reader.lookAtLists();
  }

  #release(pick: number): void {
    const next = LATER[this.released];
    if (next === undefined) return;
    this.released++;
    this.upstream.add(next.name, { requires: [...next.requires] });
    // Visible late, by less than the overlap.
    this.index.see(next.name, microStamp(this.clock.ms - (pick % 25) * MINUTE, pick));
  }

  #indexFault(pick: number): void {
    const answers = [
      new MirrorError("transient", "index", "index: 429"),
      Buffer.from("<html>"),
      Buffer.from("not json\n"),
      undefined,
    ];
    const fault = answers[pick % answers.length];
    this.index.fault = fault === undefined ? undefined : () => fault;
  }

  /** Another order within a moment, and a line twice. */
  #shuffle(): void {
    const { lines } = this.index;
    lines.sort((a, b) =>
      a.Timestamp < b.Timestamp ? -1 : a.Timestamp > b.Timestamp ? 1 : this.#random() - 0.5,
    );
    lines.push(...lines.slice(-1));
  }

  /** Until the next one: a file does not come, or is not there yet. */
  #upstreamFault(pick: number): void {
    this.upstream.wrong.clear();
    const made = [...this.upstream.made.keys()];
    const name = made[pick % made.length] as string;
    const kind = (["zip", "info", "mod", "lookup"] as const)[pick % 4] as string;
    if (pick % 5 === 0) return;
    const error =
      pick % 7 === 0 && kind !== "mod"
        ? new MirrorError("absent", name, `${name}: not found (404)`)
        : new MirrorError("transient", name, `${name}: 503`);
    this.upstream.wrong.set(`${kind} ${name}`, error);
  }

  /** Goes on without troubles until all is done that policy and blocks let be done. @returns what is left. */
  async settle(): Promise<string[]> {
    trace(() => "settle");
    this.index.fault = undefined;
    this.upstream.wrong.clear();
    let left: string[] = [];
    for (let round = 0; round < 80; round++) {
      this.#processes.length = 0;
      this.blocks.beginStep();
      for (let guard = 0; this.#deliveries.length > 0 && guard < 500; guard++)
        await this.#deliver(calm(0), 0, false);
      this.clock.ms += 11 * MINUTE;
      if (this.ticked && !(await this.#tick(calm(1)))) continue;
      await this.#reconcile(calm(round % 3), true);
      await this.#run(calm(2), async ({ parts }) => void (await parts.database.complete()));
      if (this.reader.broken.length > 0) throw new Broken(this.reader.broken);
      left = [...(await this.#left()), ...this.#deliveries.map(({ kind }) => `${kind} to be delivered`)];
      if (round >= 3 && left.length === 0) return [];
    }
    return left;
  }

  /** What is not as it has to be when work has ended. */
  async #left(): Promise<string[]> {
    const left: string[] = [];
    let isKeptOut = false;
    for await (const record of this.ledger.records()) {
      const { state, rule } = record;
      const name = formatModuleVersion(record);
      if (state === "BLOCKED" && !this.#isUnblocked(rule)) isKeptOut = true;
      else if (state === "DENIED" && POLICIES[this.#policy] !== undefined) isKeptOut = true;
      else if (state !== "READY") left.push(`${name} is ${state}`);
    }
    for (const { name, time, state } of await this.#allRequests())
      if (state !== "DONE" && !(isKeptOut && state === "INCOMPLETE"))
        left.push(`request ${name}/${time} is ${state}`);
    if (!this.ticked) return left;
    const complete = await completeUntil(this.ledger, "index", this.clock.ms);
    if (complete?.open !== 0) left.push(`${complete?.open} roots open for completeUntil`);
    else if (this.clock.ms - Date.parse(complete.until) > HOUR) left.push(`complete until ${complete.until}`);
    return left;
  }

  async #lookAtCompleteness(): Promise<void> {
    const requires = (name: string) => this.upstream.made.get(name)?.requires ?? [];
    await this.ledger.lookAtCompleteness(this.clock.ms, requires);
  }

  /** A version is still BLOCKED by what is blocked no more. */
  #isUnblocked(rule: string | undefined): boolean {
    return [...this.#unblocked].some((name) => rule === `block ${name}`);
  }

  /** When work has ended: a block in force holds, and nothing is BLOCKED without one. Then `modferry verify`. */
  async lookAtEnd(): Promise<void> {
    await this.lookAtBlocked();
    await this.reader.lookAtAll();
    await this.#lookAtCompleteness();
    const blocks = await readBlocks(this.ledger);
    for await (const record of this.ledger.records()) {
      const name = formatModuleVersion(record);
      if (blockOf(blocks, record) !== undefined && record.held === "whole")
        this.reader.broken.push(`10: ${name} is blocked and held whole`);
    }
    const verifiers = [this.upstream.database.verifier];
    const { reader: tree, ledger } = this;
    const { findings } = await verifyMirror({
      tree,
      ledger,
      zips: zipChecker,
      verifiers,
      progress: () => {},
    });
    const found = findings.map(({ subject, message }) => `8: verify: ${subject}: ${message}`);
    const broken = [...this.reader.broken, ...found];
    if (broken.length > 0) throw new Broken(broken);
  }

  /** People's and feeds', with what became of them. */
  async #allRequests(): Promise<{ readonly name: string; readonly time: string; readonly state: string }[]> {
    const requests = [];
    for await (const inbox of this.vault.keys("inbox/requests/")) {
      const key = parseRequestInboxKey(inbox);
      if (key === undefined) throw new Broken([`${inbox} is no request's key`]);
      const { name, time } = key;
      const request = await this.ledger.readRequest(key);
      // A tick that dies before it has accepted what it hands in hands it in anew.
      if (request !== undefined) requests.push({ name, time, state: request.state });
      else if (!isFeedName(name)) requests.push({ name, time, state: "not accepted" });
    }
    return requests;
  }

  /** The operator takes back all that was decided by hand or by policy. */
  async letAllIn(): Promise<void> {
    this.#policy = 0;
    this.blocks.beginStep();
    for (const name of BLOCKS) await this.#unblock(this.newProcess().parts, name);
  }

  async #deliver(act: Act, pick: number, twice: boolean): Promise<void> {
    if (this.#deliveries.length === 0) return;
    const [delivery] = this.#deliveries.splice(pick % this.#deliveries.length, 1);
    if (delivery === undefined) return;
    const done = await this.#run(act, async ({ parts }) => {
      if (delivery.kind === "accept") await acceptRequest(parts, delivery.request);
      else await work(parts, delivery.order, noDeadline);
    });
    count(this.#tally, "deliveries");
    if (!done || twice) this.#deliveries.push(delivery);
  }

  /** @returns whether it came to its end; what was killed is started anew the next time. */
  async #run(
    { process: number, troubles }: Act,
    act: (process: ReturnType<Simulation["newProcess"]>) => Promise<void>,
  ): Promise<boolean> {
    const known = this.#processes[number];
    const isOver =
      known === undefined ||
      known.crashing.dead ||
      (known.since < this.#policySince && this.clock.ms > this.#policySince + LONGEST_UNIT);
    const process = isOver ? this.newProcess(number) : known;
    this.#processes[number] = process;
    process.crashing.plan(troubles);
    this.blocks.workBegins(this.clock.ms);
    try {
      await act(process);
      return !process.crashing.dead;
    } catch (thrown) {
      if (isFault(thrown)) throw thrown;
      return false;
    }
  }
}

/** What a reader must never see. */
export class Broken extends Error {
  constructor(broken: readonly string[]) {
    super(broken.slice(0, 5).join("\n"));
  }
}

/** A fault of the code, rather than one that the schedule made. */
function isFault(thrown: unknown): boolean {
  return thrown instanceof TypeError || thrown instanceof RangeError || thrown instanceof ReferenceError;
}

function calm(process: number): Act {
  return { action: "work", pick: 0, process, twice: false, troubles: [] };
}
