import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { JournalEntry, OpenWork, RecordChange, StateCount } from "../../mirror/ledger-entries.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { Ledger, WantedPlace } from "../../mirror/ports.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import { requireWholeNumbers } from "../../mirror/whole-numbers.ts";
import { MemorySeries, revise } from "./memory-series.ts";

const HOUR = 3_600_000;

/** A Ledger in memory, for tests; `fault` decides what goes wrong. What goes in and out is copied. */
export class MemoryLedger extends MemorySeries implements Ledger {
  /** Every journal line, in the order written. */
  readonly journalLines: JournalEntry[] = [];
  readonly #records = new Map<string, VersionRecord>();
  readonly #requests = new Map<string, RequestRecord>();
  readonly #orders = new Map<string, Set<number>>();
  /** By feed, then window. */
  readonly #openWork = new Map<string, Map<string, number>>();

  read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]> {
    return this.call("read", versions[0] ? nameOf(versions[0]) : "", () =>
      versions.map((version) => structuredClone(this.#records.get(nameOf(version)))),
    );
  }

  readModule(path: ModulePath): Promise<VersionRecord[]> {
    return this.call("readModule", path, () => this.#copies((record) => record.path === path));
  }

  write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]> {
    const copies = structuredClone(changes);
    return this.call("write", copies[0] ? nameOf(copies[0].record) : "", () => {
      for (const { record } of copies) requireWholeNumbers(nameOf(record), record);
      return copies.map(({ record, journal, work = [] }) => {
        const stored = revise(this.#records, nameOf(record), record);
        if (stored === "changed") return stored;
        if (journal !== undefined) this.journalLines.push(journal);
        for (const { feed, window, change } of work) {
          const windows = this.#openWork.get(feed) ?? new Map<string, number>();
          this.#openWork.set(feed, windows.set(window, (windows.get(window) ?? 0) + change));
        }
        return stored;
      });
    });
  }

  forget(records: readonly VersionRecord[]): Promise<number> {
    return this.call("forget", records[0] ? nameOf(records[0]) : "", () => {
      const same = records.filter(
        (record) => this.#records.get(nameOf(record))?.revision === record.revision,
      );
      for (const record of same) this.#records.delete(nameOf(record));
      return same.length;
    });
  }

  /** In the order in which they came. */
  async *records(after?: ModuleVersion): AsyncGenerator<VersionRecord> {
    const all = await this.call("records", "", () => this.#copies(() => true));
    yield* all.slice(
      after === undefined ? 0 : all.findIndex((record) => nameOf(record) === nameOf(after)) + 1,
    );
  }

  async *journal(from: number, to: number): AsyncGenerator<JournalEntry> {
    yield* await this.call("journal", "", () =>
      structuredClone(this.journalLines)
        .filter(({ at }) => at >= from && at < to)
        .sort((a, b) => Math.floor(a.at / HOUR) - Math.floor(b.at / HOUR)),
    );
  }

  due(before: number, limit: number): Promise<VersionRecord[]> {
    return this.call("due", "", () =>
      dueOf(
        this.#copies(() => true),
        before,
        limit,
      ),
    );
  }

  inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: WantedPlace },
  ): Promise<VersionRecord[]> {
    return this.call("inState", state, () =>
      this.#copies((record) => record.state === state)
        .sort(byWait)
        .filter((record) => after === undefined || byWait(after, record) < 0)
        .slice(0, limit),
    );
  }

  countState(state: State): Promise<StateCount> {
    return this.call("countState", state, () => {
      const found = this.#copies((record) => record.state === state).sort(byWait);
      const [first] = found;
      return { count: found.length, ...(first === undefined ? {} : { oldest: first.wantedAt }) };
    });
  }

  async *openWork(feed: string, before?: string): AsyncGenerator<OpenWork> {
    yield* await this.call("openWork", feed, () =>
      [...(this.#openWork.get(feed) ?? [])]
        .map(([window, open]) => ({ window, open }))
        .filter(({ window, open }) => open !== 0 && (before === undefined || window < before))
        .sort((a, b) => (a.window < b.window ? -1 : 1)),
    );
  }

  forgetWork(feed: string, before: string): Promise<void> {
    return this.call("forgetWork", feed, () => {
      const windows = this.#openWork.get(feed) ?? new Map<string, number>();
      for (const [window, open] of windows) if (open === 0 && window < before) windows.delete(window);
    });
  }

  readRequest(key: RequestKey): Promise<RequestRecord | undefined> {
    return this.call("readRequest", requestOf(key), () =>
      structuredClone(this.#requests.get(requestOf(key))),
    );
  }

  writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    const copy = structuredClone(record);
    return this.call("writeRequest", requestOf(copy), () => {
      requireWholeNumbers(`request ${copy.name}/${copy.time}`, copy);
      return revise(this.#requests, requestOf(copy), copy);
    });
  }

  forgetRequest(record: RequestRecord): Promise<boolean> {
    return this.call("forgetRequest", requestOf(record), () => {
      if (this.#requests.get(requestOf(record))?.revision !== record.revision) return false;
      this.#orders.delete(requestOf(record));
      return this.#requests.delete(requestOf(record));
    });
  }

  async *requests(): AsyncGenerator<RequestRecord> {
    yield* await this.call("requests", "", () => structuredClone([...this.#requests.values()]));
  }

  dueRequests(before: number, limit: number): Promise<RequestRecord[]> {
    return this.call("dueRequests", "", () =>
      dueOf(structuredClone([...this.#requests.values()]), before, limit),
    );
  }

  openOrders(request: RequestKey, numbers: readonly number[]): Promise<void> {
    return this.call("openOrders", requestOf(request), () => {
      this.#orders.set(
        requestOf(request),
        new Set([...(this.#orders.get(requestOf(request)) ?? []), ...numbers]),
      );
    });
  }

  closeOrder(request: RequestKey, number: number): Promise<{ readonly open: number }> {
    return this.call("closeOrder", requestOf(request), () => {
      const open = this.#orders.get(requestOf(request));
      open?.delete(number);
      return { open: open?.size ?? 0 };
    });
  }

  #copies(chosen: (record: VersionRecord) => boolean): VersionRecord[] {
    return structuredClone([...this.#records.values()].filter(chosen));
  }
}

function nameOf({ path, version }: ModuleVersion): string {
  return `${path}@${version}`;
}

function requestOf({ name, time }: RequestKey): string {
  return `${name}#${time}`;
}

/** The longest wanted first; of the same moment by name. */
function byWait(a: WantedPlace, b: WantedPlace): number {
  return a.wantedAt - b.wantedAt || Buffer.compare(Buffer.from(nameOf(a)), Buffer.from(nameOf(b)));
}

function dueOf<T extends { readonly due?: number }>(items: readonly T[], before: number, limit: number): T[] {
  const due = (item: T): number => item.due ?? Number.POSITIVE_INFINITY;
  return items
    .filter((item) => due(item) <= before)
    .sort((a, b) => due(a) - due(b))
    .slice(0, limit);
}
