import { isPinned, pinsOf, unpinSnapshot } from "../../../mirror/snapshot/pin.ts";
import { MINUTE } from "../../mirror/made-mirror.ts";
import { Broken, type Tally } from "../simulation.ts";
import { trace } from "../watched-ledger.ts";
import { GarbageActs } from "./garbage-acts.ts";
import { GarbageProcesses, LONGEST_UNIT } from "./garbage-processes.ts";
import type { Act, Step } from "./garbage-schedule.ts";
import { GarbageWorld, HOUR } from "./garbage-world.ts";
import { Promised } from "./promised.ts";
import type { Extents } from "./referred.ts";
import { brokenAtEnd, heldForSubscription, leftOver } from "./settled.ts";

/** @throws Broken where something that is referred to was not there, or what nothing refers to does not go. */
export async function runGarbageSchedule(steps: readonly Step[], seed: number, tally: Tally): Promise<void> {
  const simulation = new GarbageSimulation(seed, tally);
  for (const pick of [seed % 64, (seed * 7) % 64])
    await simulation.step([{ ...calm(0), action: "hand in", pick }]);
  for (const step of steps) await simulation.step(step);
  const left = await simulation.settle();
  if (left.length > 0) throw new Broken(left.map((what) => `10: when all has ended: ${what}`));
  const broken = await brokenAtEnd(simulation.world);
  if (broken.length > 0) throw new Broken(broken);
}

/**
 * A mirror in the cloud, in small, that collects garbage while it works: three processes with clocks of their own over the
 * same stores, units of work that hang while others go on, crashes and failures at any call of a port. What is referred to
 * is known from what was done, and from how the modules were made.
 */
class GarbageSimulation {
  readonly world: GarbageWorld;
  readonly #processes: GarbageProcesses;
  readonly #acts: GarbageActs;
  readonly #promised: Promised;
  /** What hung in the last step. */
  #background: Promise<void>[] = [];

  constructor(seed: number, tally: Tally) {
    this.world = new GarbageWorld(seed, tally);
    this.#processes = new GarbageProcesses(this.world);
    this.#promised = new Promised(this.world);
    this.#acts = new GarbageActs(this.world, this.#processes, this.#promised);
  }

  /**
   * All acts of a step at once, and what hung until now and goes on. Time passes behind them: no unit of work that does not
   * hang sees hours go by between two of its calls, and one that hangs is killed when its own are over.
   */
  async step(acts: Step): Promise<void> {
    trace(() => `${new Date(this.world.clock.ms).toISOString()} ${JSON.stringify(acts)}`);
    this.#processes.resumeDue();
    const before = this.#background;
    this.#background = [];
    const doing = (isWait: boolean) =>
      acts.flatMap((act, at) =>
        (act.action === "wait") === isWait
          ? [this.#acts.do({ ...act, process: (act.process + at) % 3 })]
          : [],
      );
    await this.#untilDoneOrHanging([...before, ...doing(false)]);
    await Promise.all(doing(true));
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
      if (open.size <= this.#processes.hanging && idle > 3) break;
    }
    if (failures.length > 0) throw failures[0];
    this.#background = [...open];
  }

  async #look(): Promise<void> {
    const { reader } = this.world;
    await reader.lookAtLists();
    await this.#promised.look();
    if (reader.broken.length > 0) throw new Broken(reader.broken);
  }

  /** Goes on without troubles, in days, until all work and all collection has ended. @returns what is left. */
  async settle(): Promise<string[]> {
    trace(() => "settle");
    const { upstream, clock, deliveries } = this.world;
    upstream.wrong.clear();
    while (this.#background.length > 0) {
      this.#processes.wait(LONGEST_UNIT + 1);
      await this.#untilDoneOrHanging(this.#background);
    }
    await this.#unpinAll();
    let left: string[] = [];
    let subscribed: Extents = new Map();
    for (let round = 0; round < 30; round++) {
      await this.#acts.scanInbox(calm(0));
      for (let guard = 0; deliveries.length > 0 && guard < 500; guard++) await this.#acts.deliver(calm(0));
      clock.ms += 11 * MINUTE;
      await this.#acts.reconcile(calm(1));
      if (round === 3) subscribed = await heldForSubscription(this.world);
      if (round >= 3) {
        clock.ms += 13 * HOUR;
        await this.#acts.collect(calm(round % 3));
        await this.#acts.snapshot(calm(0));
      }
      await this.#look();
      left = await leftOver(this.world, subscribed);
      if (round >= 8 && left.length === 0) return [];
    }
    return left;
  }

  async #unpinAll(): Promise<void> {
    const { ledger, pinned } = this.world;
    pinned.clear();
    for (const { snapshot } of await pinsOf(ledger)) await unpinSnapshot(ledger, snapshot);
    if (isPinned(await pinsOf(ledger), "" as never, 0)) throw new Error("still pinned");
  }
}

function calm(process: number): Act {
  return { action: "work", pick: 0, process, twice: false, troubles: [], stall: undefined };
}
