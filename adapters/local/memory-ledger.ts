import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { printItemValue } from "../../mirror/item-size.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type {
  JournalEntry,
  Ledger,
  LedgerItem,
  OpenWork,
  RecordChange,
  StateCount,
  Stop,
  Watermark,
} from "../../mirror/ports.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import type { SignedHead } from "../../sumdb/client.ts";
import { type FaultHook, underFault } from "./fault.ts";

interface Revised {
  readonly revision: number;
}

/** A Ledger in memory, for tests; `fault` decides what goes wrong. What goes in and out is copied. */
export class MemoryLedger implements Ledger {
  /** Every journal line, in the order written. */
  readonly journal: JournalEntry[] = [];
  readonly #records = new Map<string, VersionRecord>();
  readonly #requests = new Map<string, RequestRecord>();
  readonly #orders = new Map<string, Set<number>>();
  readonly #heads = new Map<string, SignedHead[]>();
  readonly #stops = new Map<string, Stop>();
  readonly #watermarks = new Map<string, Watermark>();
  readonly #items = new Map<string, LedgerItem>();
  /** By feed, then window. */
  readonly #openWork = new Map<string, Map<string, number>>();
  readonly #leases = new Map<string, { readonly owner: string; readonly until: number }>();
  readonly #fault: FaultHook | undefined;

  constructor(fault?: FaultHook) {
    this.#fault = fault;
  }

  read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]> {
    return this.#call("read", versions[0] ? nameOf(versions[0]) : "", () =>
      versions.map((version) => structuredClone(this.#records.get(nameOf(version)))),
    );
  }

  readModule(path: ModulePath): Promise<VersionRecord[]> {
    return this.#call("readModule", path, () => this.#copies((record) => record.path === path));
  }

  write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]> {
    const copies = structuredClone(changes);
    return this.#call("write", copies[0] ? nameOf(copies[0].record) : "", () =>
      copies.map(({ record, journal, work = [] }) => {
        const stored = revise(this.#records, nameOf(record), record);
        if (stored === "changed") return stored;
        if (journal !== undefined) this.journal.push(journal);
        for (const { feed, window, change } of work) {
          const windows = this.#openWork.get(feed) ?? new Map<string, number>();
          this.#openWork.set(feed, windows.set(window, (windows.get(window) ?? 0) + change));
        }
        return stored;
      }),
    );
  }

  async *records(): AsyncGenerator<VersionRecord> {
    yield* await this.#call("records", "", () => this.#copies(() => true));
  }

  due(before: number, limit: number): Promise<VersionRecord[]> {
    return this.#call("due", "", () =>
      dueOf(
        this.#copies(() => true),
        before,
        limit,
      ),
    );
  }

  inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: VersionRecord },
  ): Promise<VersionRecord[]> {
    return this.#call("inState", state, () =>
      this.#copies((record) => record.state === state)
        .sort(byWait)
        .filter((record) => after === undefined || byWait(after, record) < 0)
        .slice(0, limit),
    );
  }

  countState(state: State): Promise<StateCount> {
    return this.#call("countState", state, () => {
      const found = this.#copies((record) => record.state === state).sort(byWait);
      const [first] = found;
      return { count: found.length, ...(first === undefined ? {} : { oldest: first.wantedAt }) };
    });
  }

  async *openWork(feed: string, from: string): AsyncGenerator<OpenWork> {
    yield* await this.#call("openWork", feed, () =>
      [...(this.#openWork.get(feed) ?? [])]
        .map(([window, open]) => ({ window, open }))
        .filter(({ window, open }) => open !== 0 && window >= from)
        .sort((a, b) => (a.window < b.window ? -1 : 1)),
    );
  }

  readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined> {
    return this.#call("readItem", name, () => structuredClone(this.#items.get(itemOf({ kind, name }))));
  }

  writeItem(item: LedgerItem): Promise<LedgerItem | "changed"> {
    const copy = structuredClone(item);
    return this.#call("writeItem", copy.name, () => {
      printItemValue(copy);
      return revise(this.#items, itemOf(copy), copy);
    });
  }

  deleteItem(item: LedgerItem): Promise<boolean> {
    return this.#call("deleteItem", item.name, () => {
      const isSame = this.#items.get(itemOf(item))?.revision === item.revision;
      return isSame && this.#items.delete(itemOf(item));
    });
  }

  async *items(kind: LedgerItem["kind"]): AsyncGenerator<LedgerItem> {
    yield* await this.#call("items", kind, () =>
      structuredClone([...this.#items.values()].filter((item) => item.kind === kind)).sort((a, b) =>
        Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
      ),
    );
  }

  readRequest(key: RequestKey): Promise<RequestRecord | undefined> {
    return this.#call("readRequest", requestOf(key), () =>
      structuredClone(this.#requests.get(requestOf(key))),
    );
  }

  writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    const copy = structuredClone(record);
    return this.#call("writeRequest", requestOf(copy), () => revise(this.#requests, requestOf(copy), copy));
  }

  dueRequests(before: number, limit: number): Promise<RequestRecord[]> {
    return this.#call("dueRequests", "", () =>
      dueOf(structuredClone([...this.#requests.values()]), before, limit),
    );
  }

  openOrders(request: RequestKey, numbers: readonly number[]): Promise<void> {
    return this.#call("openOrders", requestOf(request), () => {
      this.#orders.set(
        requestOf(request),
        new Set([...(this.#orders.get(requestOf(request)) ?? []), ...numbers]),
      );
    });
  }

  closeOrder(request: RequestKey, number: number): Promise<{ readonly open: number }> {
    return this.#call("closeOrder", requestOf(request), () => {
      const open = this.#orders.get(requestOf(request));
      open?.delete(number);
      return { open: open?.size ?? 0 };
    });
  }

  readHead(database: string): Promise<SignedHead | undefined> {
    return this.#call("readHead", database, () => structuredClone(this.#heads.get(database)?.at(-1)));
  }

  addHead(database: string, head: SignedHead): Promise<void> {
    const copy = structuredClone(head);
    return this.#call("addHead", database, () => {
      const heads = this.#heads.get(database) ?? [];
      if (heads.some(({ size }) => size === copy.size)) return;
      this.#heads.set(
        database,
        [...heads, copy].sort((a, b) => a.size - b.size),
      );
    });
  }

  async *heads(database: string): AsyncGenerator<SignedHead> {
    yield* await this.#call("heads", database, () => structuredClone(this.#heads.get(database) ?? []));
  }

  readStop(database: string): Promise<Stop | undefined> {
    return this.#call("readStop", database, () => structuredClone(this.#stops.get(database)));
  }

  writeStop(stop: Stop): Promise<void> {
    const copy = structuredClone(stop);
    return this.#call("writeStop", copy.database, () => {
      if (!this.#stops.has(copy.database)) this.#stops.set(copy.database, copy);
    });
  }

  liftStop({ database, evidence }: Stop): Promise<void> {
    return this.#call("liftStop", database, () => {
      if (this.#stops.get(database)?.evidence === evidence) this.#stops.delete(database);
    });
  }

  readWatermark(feed: string): Promise<Watermark | undefined> {
    return this.#call("readWatermark", feed, () => structuredClone(this.#watermarks.get(feed)));
  }

  moveWatermark(watermark: Watermark): Promise<Watermark | "changed"> {
    const copy = structuredClone(watermark);
    return this.#call("moveWatermark", copy.feed, () => revise(this.#watermarks, copy.feed, copy));
  }

  takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    return this.#call("takeLease", name, () => {
      const lease = this.#leases.get(name);
      if (lease !== undefined && lease.owner !== owner && lease.until > now) return false;
      this.#leases.set(name, { owner, until });
      return true;
    });
  }

  releaseLease(name: string, owner: string): Promise<void> {
    return this.#call("releaseLease", name, () => {
      if (this.#leases.get(name)?.owner === owner) this.#leases.delete(name);
    });
  }

  #call<T>(method: string, key: string, apply: () => T): Promise<T> {
    return underFault(this.#fault, { method: `ledger.${method}`, key }, apply);
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

function itemOf({ kind, name }: Pick<LedgerItem, "kind" | "name">): string {
  return `${kind}#${name}`;
}

/** The longest wanted first; of the same moment by name. */
function byWait(a: VersionRecord, b: VersionRecord): number {
  return a.wantedAt - b.wantedAt || Buffer.compare(Buffer.from(nameOf(a)), Buffer.from(nameOf(b)));
}

/** The conditional write of all revised items: only over the revision that its caller read. */
function revise<T extends Revised>(items: Map<string, T>, key: string, item: T): T | "changed" {
  if ((items.get(key)?.revision ?? 0) !== item.revision) return "changed";
  const stored = { ...item, revision: item.revision + 1 };
  items.set(key, stored);
  return structuredClone(stored);
}

function dueOf<T extends { readonly due?: number }>(items: readonly T[], before: number, limit: number): T[] {
  const due = (item: T): number => item.due ?? Number.POSITIVE_INFINITY;
  return items
    .filter((item) => due(item) <= before)
    .sort((a, b) => due(a) - due(b))
    .slice(0, limit);
}
