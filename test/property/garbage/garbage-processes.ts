import { CrashingPorts } from "../../mirror/crashing-ports.ts";
import { MINUTE, processOf } from "../../mirror/made-mirror.ts";
import { count } from "../simulation.ts";
import { trace } from "../watched-ledger.ts";
import type { Act } from "./garbage-schedule.ts";
import type { GarbageWorld } from "./garbage-world.ts";

/** A unit of work lives no longer, in ms. */
export const LONGEST_UNIT = 300_000;

export type GarbageProcess = ReturnType<GarbageProcesses["start"]>;

interface Stalled {
  /** The unit of work's 300 s are over then. */
  readonly until: number;
  steps: number;
  readonly process: GarbageProcess;
  readonly resume: () => void;
}

/** Processes with clocks of their own over the same stores, which crash, fail, and hang while others go on. */
export class GarbageProcesses {
  readonly #world: GarbageWorld;
  readonly #skews: readonly number[];
  readonly #stalled: Stalled[] = [];
  #started = 0;

  constructor(world: GarbageWorld) {
    this.#world = world;
    this.#skews = [0, 1, 2].map((at) => (at === 0 ? 0 : Math.floor(world.random() * 9 - 4) * MINUTE));
  }

  /** How many hang now. */
  get hanging(): number {
    return this.#stalled.length;
  }

  start(number: number, stallAt?: number) {
    const { random, stores, tally, clock: time, upstream } = this.#world;
    let stall = stallAt;
    const crashing: CrashingPorts = new CrashingPorts(stores, random, {
      deep: true,
      onTrouble: ({ kind, applied }) =>
        count(tally, `${kind === "die" ? "killed" : "failed"} ${applied ? "after" : "before"} the call`),
      onCall: (call) => {
        time.ms += Math.floor(random() * 50);
        count(tally, "port calls");
        if (call !== stall) return undefined;
        stall = undefined;
        return this.#stall(process);
      },
    });
    const skew = this.#skews[number] ?? 0;
    const clock = { ms: 0, now: () => time.now() + skew };
    const owner = `process ${this.#started++}`;
    const parts = processOf(crashing.ports, upstream, clock, { owner, tiles: "needed" });
    const process = { crashing, owner, parts, since: time.ms };
    return process;
  }

  /** One unit of work in a process of its own. @returns whether it came to its end. */
  async run(
    { process: number, troubles, stall }: Pick<Act, "process" | "troubles" | "stall">,
    unit: (process: GarbageProcess) => Promise<void>,
  ): Promise<boolean> {
    const process = this.start(number, stall);
    process.crashing.plan(troubles);
    try {
      await unit(process);
      return !process.crashing.dead;
    } catch (thrown) {
      if (thrown instanceof TypeError || thrown instanceof RangeError || thrown instanceof ReferenceError)
        throw thrown;
      trace(() => `  ${process.owner}: ${String(thrown)}`);
      return false;
    }
  }

  /** What has hung for as many steps as it was to goes on. */
  resumeDue(): void {
    for (const stalled of [...this.#stalled]) {
      if (stalled.steps-- > 0) continue;
      this.#stalled.splice(this.#stalled.indexOf(stalled), 1);
      stalled.resume();
    }
  }

  /** Time passes; a unit of work whose time is up by then is killed where it hangs. */
  wait(ms: number): void {
    const { clock } = this.#world;
    clock.ms += ms;
    for (const stalled of [...this.#stalled]) {
      if (clock.ms <= stalled.until) continue;
      stalled.process.crashing.dead = true;
      this.#stalled.splice(this.#stalled.indexOf(stalled), 1);
      stalled.resume();
    }
  }

  #stall(process: GarbageProcess): Promise<void> {
    const { tally, random } = this.#world;
    count(tally, "hung");
    return new Promise((resume) => {
      const steps = Math.floor(random() * 3);
      this.#stalled.push({ until: process.since + LONGEST_UNIT, steps, process, resume });
    });
  }
}
