import { printItemValue } from "../../mirror/item-size.ts";
import type { LedgerItem, Stop, Watermark } from "../../mirror/ledger-entries.ts";
import type { SignedHead } from "../../sumdb/client.ts";
import { type FaultHook, underFault } from "./fault.ts";

interface Revised {
  readonly revision: number;
}

/** What a ledger holds beside its records and requests: small items, heads, stops, watermarks and leases. */
export class MemorySeries {
  readonly #heads = new Map<string, SignedHead[]>();
  readonly #stops = new Map<string, Stop>();
  readonly #watermarks = new Map<string, Watermark>();
  readonly #items = new Map<string, LedgerItem>();
  readonly #leases = new Map<string, { readonly owner: string; readonly until: number }>();
  readonly #fault: FaultHook | undefined;

  constructor(fault?: FaultHook) {
    this.#fault = fault;
  }

  readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined> {
    return this.call("readItem", name, () => structuredClone(this.#items.get(itemOf({ kind, name }))));
  }

  writeItem(item: LedgerItem): Promise<LedgerItem | "changed"> {
    const copy = structuredClone(item);
    return this.call("writeItem", copy.name, () => {
      printItemValue(copy);
      return revise(this.#items, itemOf(copy), copy);
    });
  }

  deleteItem(item: LedgerItem): Promise<boolean> {
    return this.call("deleteItem", item.name, () => {
      const isSame = this.#items.get(itemOf(item))?.revision === item.revision;
      return isSame && this.#items.delete(itemOf(item));
    });
  }

  async *items(kind: LedgerItem["kind"]): AsyncGenerator<LedgerItem> {
    yield* await this.call("items", kind, () =>
      structuredClone([...this.#items.values()].filter((item) => item.kind === kind)).sort((a, b) =>
        Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
      ),
    );
  }

  readHead(database: string): Promise<SignedHead | undefined> {
    return this.call("readHead", database, () => structuredClone(this.#heads.get(database)?.at(-1)));
  }

  addHead(database: string, head: SignedHead): Promise<void> {
    const copy = structuredClone(head);
    return this.call("addHead", database, () => {
      const heads = this.#heads.get(database) ?? [];
      if (heads.some(({ size }) => size === copy.size)) return;
      this.#heads.set(
        database,
        [...heads, copy].sort((a, b) => a.size - b.size),
      );
    });
  }

  async *heads(database: string): AsyncGenerator<SignedHead> {
    yield* await this.call("heads", database, () => structuredClone(this.#heads.get(database) ?? []));
  }

  readStop(database: string): Promise<Stop | undefined> {
    return this.call("readStop", database, () => structuredClone(this.#stops.get(database)));
  }

  writeStop(stop: Stop): Promise<void> {
    const copy = structuredClone(stop);
    return this.call("writeStop", copy.database, () => {
      if (!this.#stops.has(copy.database)) this.#stops.set(copy.database, copy);
    });
  }

  liftStop({ database, evidence }: Stop): Promise<void> {
    return this.call("liftStop", database, () => {
      if (this.#stops.get(database)?.evidence === evidence) this.#stops.delete(database);
    });
  }

  readWatermark(feed: string): Promise<Watermark | undefined> {
    return this.call("readWatermark", feed, () => structuredClone(this.#watermarks.get(feed)));
  }

  moveWatermark(watermark: Watermark): Promise<Watermark | "changed"> {
    const copy = structuredClone(watermark);
    return this.call("moveWatermark", copy.feed, () => revise(this.#watermarks, copy.feed, copy));
  }

  takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    return this.call("takeLease", name, () => {
      const lease = this.#leases.get(name);
      if (lease !== undefined && lease.owner !== owner && lease.until > now) return false;
      this.#leases.set(name, { owner, until });
      return true;
    });
  }

  releaseLease(name: string, owner: string): Promise<void> {
    return this.call("releaseLease", name, () => {
      if (this.#leases.get(name)?.owner === owner) this.#leases.delete(name);
    });
  }

  /** Each call of the port goes through here, so that the hook decides what becomes of it. */
  protected call<T>(method: string, key: string, apply: () => T): Promise<T> {
    return underFault(this.#fault, { method: `ledger.${method}`, key }, apply);
  }
}

function itemOf({ kind, name }: Pick<LedgerItem, "kind" | "name">): string {
  return `${kind}#${name}`;
}

/** The conditional write of all revised items: only over the revision that its caller read. */
export function revise<T extends Revised>(items: Map<string, T>, key: string, item: T): T | "changed" {
  if ((items.get(key)?.revision ?? 0) !== item.revision) return "changed";
  const stored = { ...item, revision: item.revision + 1 };
  items.set(key, stored);
  return structuredClone(stored);
}
