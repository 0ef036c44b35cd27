import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { JournalEntry, Ledger, RecordChange, Stop, Watermark } from "../../mirror/ports.ts";
import type { VersionRecord } from "../../mirror/records.ts";
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
      copies.map(({ record, journal }) => {
        const stored = revise(this.#records, nameOf(record), record);
        if (stored !== "changed" && journal !== undefined) this.journal.push(journal);
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
