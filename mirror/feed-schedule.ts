import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import type { Vault } from "./ports.ts";

/** Times in ms since the epoch. */
export interface Polled {
  /** When it was last asked; 0: never. */
  readonly asked: number;
  /** When it last had something new. */
  readonly changed: number;
  /** Up to when all is known of it: when it last answered; before that, from when on it was wanted. */
  readonly known: number;
  /** The last try failed: it is tried again earlier than a quiet module is. */
  readonly failing?: Failing;
}

/** `absent`: upstream has no such module, or refuses it; `lasting`: it did not answer as it should. */
export interface Failing {
  readonly as: "absent" | "lasting";
  /** Since when it fails like this. */
  readonly since: number;
}

/** Of the poll feed. */
const POLL_KEY = "feeds/poll.json.zst";
/** Unpacked: a million modules. */
const LARGEST = 128 * 1024 * 1024;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long a module is left alone, by how long ago it last had something new. */
const INTERVALS: readonly (readonly [changedWithin: number, interval: number])[] = [
  [DAY, 0],
  [7 * DAY, HOUR],
  [30 * DAY, 6 * HOUR],
];
const QUIET = DAY;
const AFTER_FAILURE = HOUR;
/** Modules that came into the ledger by other ways are looked for this often. */
const SWEEP = DAY;
/** What upstream has not, or refuses, for so long is not waited for any more. */
const ABSENT_AFTER = 2 * DAY;

const failing = z.strictObject({ as: z.enum(["absent", "lasting"]), since: z.int() });
const shape = z.strictObject({
  format: z.literal(2),
  swept: z.int(),
  modules: z.record(z.string(), z.tuple([z.int(), z.int(), z.int(), failing.optional()])),
});

/**
 * Which modules the poll feed asks, and when. It is one object in the vault, some 60 bytes a module: losing it, or two
 * ticks that write it at once, only has modules asked again, and until then counts all as known up to the watermark.
 */
export class PollSchedule {
  readonly #modules: Map<ModulePath, Polled>;
  #swept: number;
  #isChanged = false;

  constructor(modules: Iterable<readonly [ModulePath, Polled]> = [], swept = 0) {
    this.#modules = new Map(modules);
    this.#swept = swept;
  }

  /** Modules whose time has come, the longest overdue first; of the same time by path. */
  due(paths: Iterable<ModulePath>, now: number): ModulePath[] {
    return [...paths]
      .map((path) => ({ path, at: this.#dueAt(path) }))
      .filter(({ at }) => at <= now)
      .sort((a, b) => a.at - b.at || (a.path < b.path ? -1 : 1))
      .map(({ path }) => path);
  }

  /** Nothing was ever noted, or it is lost. */
  isEmpty(): boolean {
    return this.#modules.size === 0;
  }

  known(): ModulePath[] {
    return [...this.#modules.keys()];
  }

  /** Notes a module that is to be asked; it counts as known until now. */
  add(path: ModulePath, now: number): void {
    if (this.#modules.has(path)) return;
    this.#modules.set(path, { asked: 0, changed: 0, known: now });
    this.#isChanged = true;
  }

  /** @param changed when it last had something new, as far as this try tells. */
  asked(path: ModulePath, now: number, changed: number | undefined): void {
    const before = this.#modules.get(path);
    // A module that is asked for the first time counts as active until its own times say otherwise.
    const since = changed ?? before?.changed ?? 0;
    this.#modules.set(path, { asked: now, changed: Math.max(since, before?.changed ?? 0), known: now });
    this.#isChanged = true;
  }

  failed(path: ModulePath, now: number, as: Failing["as"]): void {
    const { changed = 0, known = now, failing: before } = this.#modules.get(path) ?? {};
    const since = before?.as === as ? before.since : now;
    const next = { asked: now, changed, known, failing: { as, since } };
    // That there is nothing is an answer in the end.
    this.#modules.set(path, isGivenUp(next) ? { ...next, known: now } : next);
    this.#isChanged = true;
  }

  /** Modules that have not answered yet; that upstream has no such module is an answer. */
  unanswered(): ModulePath[] {
    return this.known().filter((path) => {
      const module = this.#modules.get(path);
      return module === undefined || module.asked === 0 || module.failing?.as === "lasting";
    });
  }

  /** Has a module asked again as if it never had been. */
  again(path: ModulePath): void {
    const module = this.#modules.get(path);
    if (module !== undefined) this.#modules.set(path, { ...module, asked: 0 });
  }

  /** Modules whose last try failed, also those that upstream has had nothing of for long. */
  failing(): ModulePath[] {
    return this.known().filter((path) => this.#modules.get(path)?.failing !== undefined);
  }

  /** Those of them that may answer any time. */
  awaited(): ModulePath[] {
    return this.failing().filter((path) => !isGivenUp(this.#modules.get(path)));
  }

  /**
   * Up to when all modules are known: those whose time has come and who were not reached, and those that fail, only up to
   * their last answer.
   */
  knownUntil(now: number): number {
    const behind = [...this.due(this.known(), now), ...this.awaited()];
    return behind.reduce((until, path) => Math.min(until, this.#modules.get(path)?.known ?? until), now);
  }

  /** Forgets modules that nothing asks for any more. */
  keep(isWanted: (path: ModulePath) => boolean): void {
    for (const path of this.known()) {
      if (isWanted(path)) continue;
      this.#modules.delete(path);
      this.#isChanged = true;
    }
  }

  wantsSweep(now: number): boolean {
    return now - this.#swept >= SWEEP;
  }

  swept(now: number): void {
    this.#swept = now;
    this.#isChanged = true;
  }

  /** Writes it where something has changed. */
  async write(vault: Vault, key = POLL_KEY): Promise<void> {
    if (!this.#isChanged) return;
    const modules = Object.fromEntries(
      [...this.#modules].map(([path, { asked, changed, known, failing }]) => [
        path,
        [asked, changed, known, ...(failing === undefined ? [] : [failing])],
      ]),
    );
    const text = JSON.stringify({ format: 2, swept: this.#swept, modules });
    await vault.put(key, await promisify(zstdCompress)(text));
    this.#isChanged = false;
  }

  #dueAt(path: ModulePath): number {
    const known = this.#modules.get(path);
    if (known === undefined || known.asked === 0) return 0;
    const quietFor = known.asked - known.changed;
    const interval = INTERVALS.find(([within]) => quietFor < within)?.[1] ?? QUIET;
    return known.asked + Math.min(interval, waitAfter(known));
  }
}

/** As long as it has failed for: what is mended is soon found out, and what is not costs little. */
function waitAfter({ asked, failing }: Polled): number {
  if (failing === undefined) return Number.POSITIVE_INFINITY;
  return failing.as === "absent" ? AFTER_FAILURE : Math.min(AFTER_FAILURE, asked - failing.since);
}

function isGivenUp(module: Polled | undefined): boolean {
  return module?.failing?.as === "absent" && module.asked - module.failing.since >= ABSENT_AFTER;
}

/** A schedule that is missing or damaged is as good as an empty one. @throws MirrorError where the vault does not answer. */
export async function readSchedule(vault: Vault, key = POLL_KEY): Promise<PollSchedule> {
  const bytes = await vault.get(key, LARGEST);
  if (bytes === undefined) return new PollSchedule();
  try {
    const text = await promisify(zstdDecompress)(bytes, { maxOutputLength: LARGEST });
    const { modules, swept } = shape.parse(JSON.parse(text.toString("utf8")));
    return new PollSchedule(
      Object.entries(modules).map(([path, [asked, changed, known, failing]]) => [
        modulePath(path),
        { asked, changed, known, ...(failing === undefined ? {} : { failing }) },
      ]),
      swept,
    );
  } catch {
    return new PollSchedule();
  }
}
