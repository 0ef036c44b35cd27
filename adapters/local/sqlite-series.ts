import { printItemValue } from "../../mirror/item-size.ts";
import type { LedgerItem, Stop, Watermark } from "../../mirror/ledger-entries.ts";
import type { SignedHead } from "../../sumdb/client.ts";
import { headOf, itemOf, nextOf, recordOf, revise } from "./sqlite-rows.ts";
import type { SqliteSession } from "./sqlite-session.ts";

/** How many rows `records` and `heads` read at once, so that neither memory nor a read transaction grows. */
export const PAGE = 500;

/** What a ledger holds beside its records and requests: small items, heads, stops, watermarks and leases. */
export class SqliteSeries {
  protected readonly session: SqliteSession;

  constructor(session: SqliteSession) {
    this.session = session;
  }

  async readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined> {
    const row = this.session.reading(() => this.session.sql.readItem.get(kind, name));
    return row && itemOf(kind, row);
  }

  async writeItem(item: LedgerItem): Promise<LedgerItem | "changed"> {
    const text = printItemValue(item);
    const { kind, name, revision } = item;
    return await this.session.writing(() => {
      const changed = revise(
        revision,
        () => this.session.sql.insertItem.run(kind, name, revision + 1, text),
        () => this.session.sql.updateItem.run(revision + 1, text, kind, name, revision),
      );
      return changed ? itemOf(kind, { name, revision: revision + 1, value: text }) : "changed";
    });
  }

  deleteItem({ kind, name, revision }: LedgerItem): Promise<boolean> {
    return this.session.writing(
      () => Number(this.session.sql.deleteItem.run(kind, name, revision).changes) === 1,
    );
  }

  async *items(kind: LedgerItem["kind"]): AsyncGenerator<LedgerItem> {
    yield* this.session.reading(() => this.session.sql.items.all(kind)).map((row) => itemOf(kind, row));
  }

  async readHead(database: string): Promise<SignedHead | undefined> {
    return this.session.reading(() => this.session.sql.newestHead.all(database).map(headOf)[0]);
  }

  addHead(database: string, { size, hash, note }: SignedHead): Promise<void> {
    const [storedHash, storedNote] = [Uint8Array.from(hash), Uint8Array.from(note)];
    return this.session.writing(() => {
      this.session.sql.addHead.run(database, size, storedHash, storedNote);
    });
  }

  async *heads(database: string): AsyncGenerator<SignedHead> {
    for (let last = -1; ; ) {
      const page = this.session.reading(() =>
        this.session.sql.pageOfHeads.all(database, last, PAGE).map(headOf),
      );
      yield* page;
      last = page.at(-1)?.size ?? last;
      if (page.length < PAGE) return;
    }
  }

  async readStop(database: string): Promise<Stop | undefined> {
    const row = this.session.reading(() => this.session.sql.readStop.get(database));
    return row && { database, at: Number(row.at), evidence: String(row.evidence) as Stop["evidence"] };
  }

  writeStop({ database, at, evidence }: Stop): Promise<void> {
    return this.session.writing(() => {
      this.session.sql.writeStop.run(database, at, evidence);
    });
  }

  liftStop({ database, evidence }: Stop): Promise<void> {
    return this.session.writing(() => {
      this.session.sql.liftStop.run(database, evidence);
    });
  }

  async readWatermark(feed: string): Promise<Watermark | undefined> {
    return this.session.reading(() => recordOf<Watermark>(this.session.sql.readWatermark.get(feed)));
  }

  moveWatermark(watermark: Watermark): Promise<Watermark | "changed"> {
    const { stored, text, read } = nextOf(watermark);
    const { feed, revision } = stored;
    return this.session.writing(() => {
      const changed = revise(
        read,
        () => this.session.sql.insertWatermark.run(feed, revision, text),
        () => this.session.sql.updateWatermark.run(revision, text, feed, read),
      );
      return changed ? stored : "changed";
    });
  }

  takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    return this.session.writing(
      () => Number(this.session.sql.takeLease.run(name, owner, until, now).changes) === 1,
    );
  }

  releaseLease(name: string, owner: string): Promise<void> {
    return this.session.writing(() => {
      this.session.sql.releaseLease.run(name, owner);
    });
  }
}
