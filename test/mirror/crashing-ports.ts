import { setImmediate } from "node:timers/promises";
import type { Call, Fault } from "../../adapters/local/fault.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Ports } from "./made-mirror.ts";

/** What happens at one call of a process's ports. */
export interface Trouble {
  /** Which call of the step, from 0. */
  readonly at: number;
  /** `die`: the process; `fail`: the call, with an error that asks for a retry. */
  readonly kind: "die" | "fail";
  /** Whether the call took effect all the same. */
  readonly applied: boolean;
}

/** What gives no promise: it is passed on as it is, or its beginning is a call where `deep` asks for that. */
const ITERATED = ["keys", "heads", "records", "requests", "journal", "items", "openWork", "sumdb"];

export interface CrashingOptions {
  /** What is iterated over, and each call of a checksum database, goes wrong as well. */
  readonly deep?: boolean;
  /** Told of each trouble that came to pass. */
  readonly onTrouble?: (trouble: Trouble) => void;
  /** Told before each call, by its number in the step; the call waits for what it gives. */
  readonly onCall?: (number: number) => void | Promise<void>;
}

/** The process was killed: nothing that it does after this takes effect. */
export class Killed extends Error {}

/** A process's ports, with what goes wrong in them; several processes share the stores behind. */
export class CrashingPorts {
  readonly ports: Ports;
  dead = false;
  #calls = 0;
  #troubles: readonly Trouble[] = [];
  #random: () => number;
  readonly #options: CrashingOptions;

  constructor(stores: Ports, random: () => number, options: CrashingOptions = {}) {
    this.#random = random;
    this.#options = options;
    const wrapped = <T extends object>(name: string, port: T): T =>
      new Proxy(port, {
        get: (target, method) => {
          const value: unknown = Reflect.get(target, method);
          if (typeof value !== "function" || typeof method !== "string") return value;
          if (ITERATED.includes(method)) {
            if (options.deep !== true) return value.bind(target);
            if (method === "sumdb")
              return (...args: unknown[]) => wrapped("sumdb", Reflect.apply(value, target, args));
            return (...args: unknown[]) =>
              this.#iterate({ method: `${name}.${method}`, key: String(args[0]) }, () =>
                Reflect.apply(value, target, args),
              );
          }
          return async (...args: unknown[]) =>
            await this.#call({ method: `${name}.${method}`, key: String(args[0]) }, async () =>
              Reflect.apply(value, target, args),
            );
        },
      });
    this.ports = {
      tree: wrapped("tree", stores.tree),
      vault: wrapped("vault", stores.vault),
      ledger: wrapped("ledger", stores.ledger),
      queue: wrapped("queue", stores.queue),
      upstream: wrapped("upstream", stores.upstream),
    };
  }

  /** How many calls this step has made. */
  get calls(): number {
    return this.#calls;
  }

  /** Begins a step: its calls are counted from 0. */
  plan(troubles: readonly Trouble[]): void {
    this.#calls = 0;
    this.#troubles = troubles;
  }

  async *#iterate<T>(call: Call, apply: () => AsyncIterable<T>): AsyncGenerator<T> {
    yield* await this.#call(call, async () => apply());
  }

  async #call<T>(call: Call, apply: () => Promise<T>): Promise<T> {
    const at = this.#calls++;
    const waited = this.#options.onCall?.(at);
    if (waited !== undefined) await waited;
    // Other processes get their turns here, more or fewer.
    for (let turns = Math.floor(this.#random() * 3); turns > 0; turns--) await setImmediate();
    const fault = this.#faultAt(at, call);
    if (fault === undefined) {
      const answer = await apply();
      if (this.dead) throw new Killed();
      return answer;
    }
    if (fault.applied) await apply();
    throw fault.sees;
  }

  #faultAt(at: number, { method, key }: Call): Fault | undefined {
    if (this.dead) return { applied: false, sees: new Killed() };
    const trouble = this.#troubles.find((planned) => planned.at === at);
    if (trouble === undefined) return undefined;
    this.#options.onTrouble?.(trouble);
    if (trouble.kind === "die") {
      this.dead = true;
      return { applied: trouble.applied, sees: new Killed() };
    }
    const sees = new MirrorError("transient", key, `${method} ${key}: made to fail`);
    return { applied: trouble.applied, sees };
  }
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) % 2 ** 32;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
