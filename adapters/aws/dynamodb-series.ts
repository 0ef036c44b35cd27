import type { LedgerItem, Stop, Watermark } from "../../mirror/ledger-entries.ts";
import type { SignedHead } from "../../sumdb/tree-head.ts";
import { toItem } from "./attribute-values.ts";
import { below, isAbsent, stillAt } from "./condition.ts";
import type { DynamoDbTable } from "./dynamodb-table.ts";
import * as items from "./ledger-items.ts";
import {
  HEADS_PARTITION,
  headPrefix,
  itemKey,
  itemsPartition,
  leaseKey,
  stopKey,
  watermarkKey,
} from "./ledger-table.ts";

/** What a ledger holds beside its records and requests: small items, heads, stops, watermarks and leases. */
export class DynamoDbSeries {
  protected readonly table: DynamoDbTable;

  constructor(table: DynamoDbTable) {
    this.table = table;
  }

  async readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined> {
    const item = await this.table.get(itemKey(kind, name));
    return item && items.parseLedgerItem(kind, item);
  }

  async writeItem(item: LedgerItem): Promise<LedgerItem | "changed"> {
    const next = { ...item, revision: item.revision + 1 };
    return (await this.table.putIf(items.printLedgerItem(next), stillAt(item.revision))) ? next : "changed";
  }

  async deleteItem({ kind, name, revision }: LedgerItem): Promise<boolean> {
    // Of what was never stored there is nothing to delete, and no condition that would say so.
    return revision > 0 && (await this.table.delete(itemKey(kind, name), stillAt(revision)));
  }

  async *items(kind: LedgerItem["kind"]): AsyncIterable<LedgerItem> {
    const all = { expression: "#pk = :pk", values: { ":pk": itemsPartition(kind) } };
    for await (const item of this.table.query(all)) yield items.parseLedgerItem(kind, item);
  }

  async readHead(database: string): Promise<SignedHead | undefined> {
    const newestFirst = { ScanIndexForward: false, Limit: 1 };
    for await (const item of this.table.query(below(HEADS_PARTITION, headPrefix(database)), newestFirst)) {
      return items.parseHead(item);
    }
    return undefined;
  }

  async addHead(database: string, head: SignedHead): Promise<void> {
    await this.table.putIf(items.printHead(database, head), isAbsent);
  }

  async *heads(database: string): AsyncIterable<SignedHead> {
    for await (const item of this.table.query(below(HEADS_PARTITION, headPrefix(database)))) {
      yield items.parseHead(item);
    }
  }

  async readStop(database: string): Promise<Stop | undefined> {
    const item = await this.table.get(stopKey(database));
    return item && items.parseStop(item);
  }

  async writeStop(stop: Stop): Promise<void> {
    await this.table.putIf(items.printStop(stop), isAbsent);
  }

  async liftStop({ database, evidence }: Stop): Promise<void> {
    const same = { expression: "#evidence = :evidence", values: { ":evidence": evidence } };
    await this.table.delete(stopKey(database), same);
  }

  async readWatermark(feed: string): Promise<Watermark | undefined> {
    const item = await this.table.get(watermarkKey(feed));
    return item && items.parseWatermark(item);
  }

  async moveWatermark(watermark: Watermark): Promise<Watermark | "changed"> {
    const next = { ...watermark, revision: watermark.revision + 1 };
    return (await this.table.putIf(items.printWatermark(next), stillAt(watermark.revision)))
      ? next
      : "changed";
  }

  async takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    return this.table.putIf(toItem({ ...leaseKey(name), owner, until }), {
      expression: `${isAbsent.expression} OR #owner = :owner OR #until <= :now`,
      values: { ":owner": owner, ":now": now },
    });
  }

  async releaseLease(name: string, owner: string): Promise<void> {
    await this.table.delete(leaseKey(name), { expression: "#owner = :owner", values: { ":owner": owner } });
  }
}
