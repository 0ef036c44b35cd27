import type { ModulePath } from "../../gomod/module-path.ts";
import type { Snapshot } from "./snapshot.ts";
import { compareEntries, parseEntry, type SnapshotEntry, versionOfLine } from "./snapshot-entry.ts";

/**
 * What the second snapshot has otherwise than the first, in the order of entries. `changed`: both have the version,
 * and not the same of it; a bundle brings it again where its files are others.
 */
export type SnapshotChange =
  | { readonly change: "added"; readonly entry: SnapshotEntry }
  | { readonly change: "removed"; readonly entry: SnapshotEntry }
  | { readonly change: "changed"; readonly before: SnapshotEntry; readonly entry: SnapshotEntry };

/** Streamed; only what differs is parsed. */
export async function* diffSnapshots(from: Snapshot, to: Snapshot): AsyncGenerator<SnapshotChange> {
  const [before, after] = [new LineCursor(from.lines()), new LineCursor(to.lines())];
  try {
    let [old, now] = [await before.next(), await after.next()];
    while (old !== undefined || now !== undefined) {
      const order = old === undefined ? 1 : now === undefined ? -1 : old === now ? 0 : compareLines(old, now);
      if (order < 0) yield { change: "removed", entry: parseEntry(old as string) };
      else if (order > 0) yield { change: "added", entry: parseEntry(now as string) };
      else if (old !== now)
        yield { change: "changed", before: parseEntry(old as string), entry: parseEntry(now as string) };
      if (order <= 0) old = await before.next();
      if (order >= 0) now = await after.next();
    }
  } finally {
    await before.close();
    await after.close();
  }
}

/** How much two snapshots differ. */
export interface DiffCounts {
  /** Of which one has versions, and the other none. */
  readonly modules: { readonly added: readonly ModulePath[]; readonly removed: readonly ModulePath[] };
  readonly versions: { readonly added: number; readonly removed: number; readonly changed: number };
}

/** Counts a diff as it goes by. Modules that are all new or all gone are kept by name. */
export class DiffCounter {
  readonly #from: Snapshot;
  readonly #to: Snapshot;
  readonly #added: ModulePath[] = [];
  readonly #removed: ModulePath[] = [];
  readonly #versions = { added: 0, removed: 0, changed: 0 };
  #last: ModulePath | undefined;

  constructor(from: Snapshot, to: Snapshot) {
    this.#from = from;
    this.#to = to;
  }

  async count({ change, entry: { path } }: SnapshotChange): Promise<void> {
    this.#versions[change]++;
    if (path === this.#last) return;
    this.#last = path;
    const [before, after] = [await this.#from.module(path), await this.#to.module(path)];
    if (before.length === 0) this.#added.push(path);
    if (after.length === 0) this.#removed.push(path);
  }

  counts(): DiffCounts {
    return {
      modules: { added: this.#added, removed: this.#removed },
      versions: { ...this.#versions },
    };
  }
}

function compareLines(a: string, b: string): number {
  return compareEntries(versionOfLine(a), versionOfLine(b));
}

/** Lines that come in batches, one at a time. */
class LineCursor {
  readonly #batches: AsyncIterator<readonly string[]>;
  #batch: readonly string[] = [];
  #at = 0;

  constructor(batches: AsyncIterable<readonly string[]>) {
    this.#batches = batches[Symbol.asyncIterator]();
  }

  async next(): Promise<string | undefined> {
    while (this.#at === this.#batch.length) {
      const next = await this.#batches.next();
      if (next.done === true) return undefined;
      this.#batch = next.value;
      this.#at = 0;
    }
    return this.#batch[this.#at++];
  }

  async close(): Promise<void> {
    await this.#batches.return?.(undefined);
  }
}
