import type { ModulePath } from "../../gomod/module-path.ts";
import type { Clock, Ledger, Vault } from "../ports.ts";
import type { TreeKey } from "../tree-keys.ts";
import { listSnapshots } from "./catalog.ts";
import { openSnapshot } from "./open-snapshot.ts";
import type { Snapshot, SnapshotEntry, SnapshotHeader } from "./snapshot.ts";
import { type SnapshotName, timeOfSnapshot } from "./snapshot-name.ts";
import { VulndbArchives } from "./vulndb-archives.ts";

/** So many snapshots are held open by a process that serves them. */
const MOST_OPEN = 4;
/** Of each, so many modules' entries are kept: a go command asks several files of one module in a row. */
const MODULES_KEPT = 256;
/** That a snapshot has expired counts in every process this long afterwards at the latest, in ms; and so does a new one. */
const FRESH = 10_000;

/** What is asked of one snapshot while it is held open. */
export interface ServedSnapshot {
  readonly header: SnapshotHeader;
  module(path: ModulePath): Promise<readonly SnapshotEntry[]>;
  /** A file of the vulnerability database as it was mirrored then, byte for byte; undefined where it had none such. */
  vulndb(key: TreeKey): Promise<Uint8Array | undefined>;
}

interface Held {
  readonly snapshot: Snapshot;
  readonly modules: Map<ModulePath, Promise<readonly SnapshotEntry[]>>;
  users: number;
  evicted: boolean;
}

export interface OpenSnapshotsParts {
  readonly vault: Pick<Vault, "get" | "open" | "keys">;
  readonly ledger: Pick<Ledger, "readItem" | "items">;
  readonly now: Clock;
}

/** The snapshots that a process serves: a few held open, since they never change. */
export class OpenSnapshots {
  readonly #parts: OpenSnapshotsParts;
  readonly #held = new Map<SnapshotName, Promise<Held | undefined>>();
  readonly #expired = new Map<SnapshotName, { readonly at: number; readonly expired: Promise<boolean> }>();
  readonly #vulndbs: VulndbArchives;
  #names: { readonly at: number; readonly names: Promise<readonly SnapshotName[]> } | undefined;

  constructor(parts: OpenSnapshotsParts) {
    this.#parts = parts;
    this.#vulndbs = new VulndbArchives(parts.vault, parts.now);
  }

  /** The newest snapshot up to a moment, expired or not; undefined where there was none yet. */
  async nameAt(moment: number): Promise<SnapshotName | undefined> {
    return (await this.#list()).findLast((name) => timeOfSnapshot(name) <= moment);
  }

  /**
   * Does something with a snapshot.
   * @returns `expired`; undefined where none of that name is announced.
   */
  async use<T>(
    name: SnapshotName,
    work: (snapshot: ServedSnapshot) => Promise<T>,
  ): Promise<T | "expired" | undefined> {
    if (await this.#isExpired(name)) return "expired";
    const held = await this.#hold(name);
    if (held === undefined) return undefined;
    held.users++;
    try {
      const { header } = held.snapshot;
      return await work({
        header,
        module: (path) => moduleOf(held, path),
        vulndb: async (key) =>
          header.vulndb === undefined ? undefined : await this.#vulndbs.file(header.vulndb, key),
      });
    } finally {
      held.users--;
      if (held.evicted && held.users === 0) await held.snapshot.close();
    }
  }

  async close(): Promise<void> {
    const all = [...this.#held.values()];
    this.#held.clear();
    for (const one of all) await (await one.catch(() => undefined))?.snapshot.close();
  }

  async #hold(name: SnapshotName): Promise<Held | undefined> {
    const known = this.#held.get(name);
    this.#held.delete(name);
    const held =
      known ??
      openSnapshot(this.#parts.vault, name).then(
        (snapshot) => snapshot && { snapshot, modules: new Map(), users: 0, evicted: false },
      );
    // The last used last.
    this.#held.set(name, held);
    const opened = await held.catch((error) => {
      this.#held.delete(name);
      throw error;
    });
    // Names that there are none of are not kept: anybody may ask for any.
    if (opened === undefined) this.#held.delete(name);
    for (const [oldest, one] of this.#held) {
      if (this.#held.size <= MOST_OPEN) break;
      this.#held.delete(oldest);
      void one.then(async (evicted) => {
        if (evicted === undefined) return;
        evicted.evicted = true;
        if (evicted.users === 0) await evicted.snapshot.close();
      }, ignore);
    }
    return opened;
  }

  async #isExpired(name: SnapshotName): Promise<boolean> {
    const now = this.#parts.now();
    const known = this.#expired.get(name);
    if (known !== undefined && Math.abs(now - known.at) < FRESH) return await known.expired;
    const expired = this.#parts.ledger.readItem("snapshot", name).then((item) => item !== undefined);
    if (this.#expired.size > 1_000) this.#expired.clear();
    this.#expired.set(name, { at: now, expired });
    expired.catch(() => this.#expired.delete(name));
    return await expired;
  }

  #list(): Promise<readonly SnapshotName[]> {
    const now = this.#parts.now();
    if (this.#names !== undefined && Math.abs(now - this.#names.at) < FRESH) return this.#names.names;
    const names = listSnapshots(this.#parts).then((all) =>
      all.filter(({ state }) => state !== "abandoned").map(({ name }) => name),
    );
    const list = { at: now, names };
    this.#names = list;
    names.catch(() => {
      if (this.#names === list) this.#names = undefined;
    });
    return names;
  }
}

function moduleOf({ snapshot, modules }: Held, path: ModulePath): Promise<readonly SnapshotEntry[]> {
  const known = modules.get(path);
  if (known !== undefined) return known;
  const entries = snapshot.module(path);
  for (const oldest of modules.keys()) {
    if (modules.size < MODULES_KEPT) break;
    modules.delete(oldest);
  }
  modules.set(path, entries);
  entries.catch(() => modules.delete(path));
  return entries;
}

function ignore(): void {}
