import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import type { Vault } from "./ports.ts";

/** When a module was last asked, and when it last had something new; ms since the epoch. */
export interface Polled {
  readonly asked: number;
  readonly changed: number;
  /** The last try failed: it is tried again earlier than a quiet module is. */
  readonly failed?: true;
}

const KEY = "feeds/poll.json.zst";
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

const shape = z.strictObject({
  format: z.literal(1),
  swept: z.int(),
  modules: z.record(z.string(), z.tuple([z.int(), z.int(), z.literal(1).optional()])),
});

/**
 * Which modules the poll feed asks, and when. It is one object in the vault, some 40 bytes a module: losing it, or two
 * ticks that write it at once, only has modules asked again.
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

  known(): ModulePath[] {
    return [...this.#modules.keys()];
  }

  /** Notes a module that is to be asked. */
  add(path: ModulePath): void {
    if (this.#modules.has(path)) return;
    this.#modules.set(path, { asked: 0, changed: 0 });
    this.#isChanged = true;
  }

  /** @param changed when it last had something new, as far as this try tells. */
  asked(path: ModulePath, now: number, changed: number | undefined): void {
    const before = this.#modules.get(path);
    // A module that is asked for the first time counts as active until its own times say otherwise.
    const since = changed ?? before?.changed ?? 0;
    this.#modules.set(path, { asked: now, changed: Math.max(since, before?.changed ?? 0) });
    this.#isChanged = true;
  }

  failed(path: ModulePath, now: number): void {
    this.#modules.set(path, { asked: now, changed: this.#modules.get(path)?.changed ?? 0, failed: true });
    this.#isChanged = true;
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
  async write(vault: Vault): Promise<void> {
    if (!this.#isChanged) return;
    const modules = Object.fromEntries(
      [...this.#modules].map(([path, { asked, changed, failed }]) => [
        path,
        failed === true ? [asked, changed, 1] : [asked, changed],
      ]),
    );
    const text = JSON.stringify({ format: 1, swept: this.#swept, modules });
    await vault.put(KEY, await promisify(zstdCompress)(text));
    this.#isChanged = false;
  }

  #dueAt(path: ModulePath): number {
    const known = this.#modules.get(path);
    if (known === undefined || known.asked === 0) return 0;
    const quietFor = known.asked - known.changed;
    const interval = INTERVALS.find(([within]) => quietFor < within)?.[1] ?? QUIET;
    return known.asked + (known.failed === true ? Math.min(interval, AFTER_FAILURE) : interval);
  }
}

/** A schedule that is missing or damaged is as good as an empty one. @throws MirrorError where the vault does not answer. */
export async function readSchedule(vault: Vault): Promise<PollSchedule> {
  const bytes = await vault.get(KEY, LARGEST);
  if (bytes === undefined) return new PollSchedule();
  try {
    const text = await promisify(zstdDecompress)(bytes, { maxOutputLength: LARGEST });
    const { modules, swept } = shape.parse(JSON.parse(text.toString("utf8")));
    return new PollSchedule(
      Object.entries(modules).map(([path, [asked, changed, failed]]) => [
        modulePath(path),
        { asked, changed, ...(failed === undefined ? {} : { failed: true as const }) },
      ]),
      swept,
    );
  } catch {
    return new PollSchedule();
  }
}
