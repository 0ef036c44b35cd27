import type { DatabaseSync } from "node:sqlite";
import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { misuse } from "../../mirror/errors.ts";
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
import { GroupCommit } from "./group-commit.ts";
import { openDatabase } from "./sqlite-database.ts";
import { sqliteError } from "./sqlite-error.ts";
import { prepareStatements, type Statements } from "./sqlite-statements.ts";
import { takeWriterLock, type WriterLock } from "./writer-lock.ts";

/** How many rows `records` and `heads` read at once, so that neither memory nor a read transaction grows. */
const PAGE = 500;

/**
 * `beside`: to write items while another process holds the writer's lock, such as a block at night. Each item is one
 * transaction over its revision, so that no lock is needed; records are for the lock's holder alone.
 */
export type LedgerMode = "write" | "read" | "beside";

/**
 * Opens the ledger in the file `path`, in write mode made where it is missing and locked for this process.
 * @param mirror the mirror's address, for messages.
 * @throws MirrorError misuse when another process writes it, or when it is foreign, newer or cannot be opened.
 */
export function openSqliteLedger(path: string, mode: LedgerMode, mirror = path): SqliteLedger {
  const database = openDatabase(path, mode === "read" ? "read" : "write");
  try {
    if (mode === "read") return new SqliteLedger(database, path, undefined);
    if (mode === "beside") return new SqliteLedger(database, path, NO_LOCK);
    const lock = takeWriterLock(database, mirror);
    return new SqliteLedger(database, path, lock);
  } catch (error) {
    database.close();
    throw sqliteError(error, path);
  }
}

const NO_LOCK: WriterLock = { check: () => {}, release: () => {} };

/** A Ledger in one SQLite file: one process writes it, others may read it meanwhile. */
export class SqliteLedger implements Ledger {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #lock: WriterLock | undefined;
  readonly #commit: GroupCommit | undefined;
  readonly #sql: Statements;

  /** @param lock undefined to only read. */
  constructor(database: DatabaseSync, path: string, lock: WriterLock | undefined) {
    this.#database = database;
    this.#path = path;
    this.#lock = lock;
    this.#sql = prepareStatements(database);
    this.#commit = lock && new GroupCommit(database, path, () => lock.check());
  }

  async read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]> {
    return this.#reading(() =>
      versions.map(({ path, version }) => recordOf<VersionRecord>(this.#sql.readVersion.get(path, version))),
    );
  }

  async readModule(path: ModulePath): Promise<VersionRecord[]> {
    return this.#reading(() => this.#sql.readModule.all(path).flatMap(recordsOf<VersionRecord>));
  }

  write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]> {
    const rows = changes.map(({ record, journal, work = [] }) => ({
      ...nextOf(record),
      journal: journal && { ...journal },
      work: [...work],
    }));
    return this.#writing(() =>
      rows.map(({ stored, text, read, journal, work }) => {
        const { path, version, revision, due = null, wantedAt } = stored;
        const state = stored.state === "READY" ? null : stored.state;
        const changed = revise(
          read,
          () => this.#sql.insertVersion.run(path, version, revision, due, state, wantedAt, text),
          () => this.#sql.updateVersion.run(revision, due, state, wantedAt, text, path, version, read),
        );
        if (!changed) return "changed";
        if (journal !== undefined) this.#append(journal);
        for (const { feed, window, change } of work) this.#sql.addWork.run(feed, window, change);
        return stored;
      }),
    );
  }

  async *records(): AsyncGenerator<VersionRecord> {
    let last = { path: "", version: "" };
    for (;;) {
      const page = this.#reading(() => this.#sql.pageOfVersions.all(last.path, last.version, PAGE));
      const records = page.flatMap(recordsOf<VersionRecord>);
      yield* records;
      last = records.at(-1) ?? last;
      if (page.length < PAGE) return;
    }
  }

  async due(before: number, limit: number): Promise<VersionRecord[]> {
    return this.#reading(() => this.#sql.dueVersions.all(before, limit).flatMap(recordsOf<VersionRecord>));
  }

  async inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: VersionRecord },
  ): Promise<VersionRecord[]> {
    const { wantedAt, path, version } = after ?? {
      wantedAt: Number.NEGATIVE_INFINITY,
      path: "",
      version: "",
    };
    return this.#reading(() =>
      this.#sql.inState.all(state, wantedAt, path, version, limit).flatMap(recordsOf<VersionRecord>),
    );
  }

  async countState(state: State): Promise<StateCount> {
    const row = this.#reading(() => this.#sql.countState.get(state));
    const oldest = row?.oldest;
    return { count: Number(row?.n), ...(typeof oldest === "number" ? { oldest } : {}) };
  }

  async *openWork(feed: string, from: string): AsyncGenerator<OpenWork> {
    const rows = this.#reading(() => this.#sql.openWork.all(feed, from));
    for (const { hour, open } of rows) yield { window: String(hour), open: Number(open) };
  }

  async readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined> {
    const row = this.#reading(() => this.#sql.readItem.get(kind, name));
    return row && itemOf(kind, row);
  }

  async writeItem(item: LedgerItem): Promise<LedgerItem | "changed"> {
    const text = printItemValue(item);
    const { kind, name, revision } = item;
    return await this.#writing(() => {
      const changed = revise(
        revision,
        () => this.#sql.insertItem.run(kind, name, revision + 1, text),
        () => this.#sql.updateItem.run(revision + 1, text, kind, name, revision),
      );
      return changed ? itemOf(kind, { name, revision: revision + 1, value: text }) : "changed";
    });
  }

  deleteItem({ kind, name, revision }: LedgerItem): Promise<boolean> {
    return this.#writing(() => Number(this.#sql.deleteItem.run(kind, name, revision).changes) === 1);
  }

  async *items(kind: LedgerItem["kind"]): AsyncGenerator<LedgerItem> {
    yield* this.#reading(() => this.#sql.items.all(kind)).map((row) => itemOf(kind, row));
  }

  async readRequest({ name, time }: RequestKey): Promise<RequestRecord | undefined> {
    return this.#reading(() => recordOf<RequestRecord>(this.#sql.readRequest.get(name, time)));
  }

  writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    const { stored, text, read } = nextOf(record);
    const { name, time, revision, due = null } = stored;
    return this.#writing(() => {
      const changed = revise(
        read,
        () => this.#sql.insertRequest.run(name, time, revision, due, text),
        () => this.#sql.updateRequest.run(revision, due, text, name, time, read),
      );
      return changed ? stored : "changed";
    });
  }

  async dueRequests(before: number, limit: number): Promise<RequestRecord[]> {
    return this.#reading(() => this.#sql.dueRequests.all(before, limit).flatMap(recordsOf<RequestRecord>));
  }

  openOrders({ name, time }: RequestKey, numbers: readonly number[]): Promise<void> {
    const opened = [...numbers];
    return this.#writing(() => {
      for (const number of opened) this.#sql.openOrder.run(name, time, number);
    });
  }

  closeOrder({ name, time }: RequestKey, number: number): Promise<{ readonly open: number }> {
    return this.#writing(() => {
      this.#sql.closeOrder.run(name, time, number);
      return { open: Number(this.#sql.countOrders.get(name, time)?.n) };
    });
  }

  async readHead(database: string): Promise<SignedHead | undefined> {
    return this.#reading(() => this.#sql.newestHead.all(database).map(headOf)[0]);
  }

  addHead(database: string, { size, hash, note }: SignedHead): Promise<void> {
    const [storedHash, storedNote] = [Uint8Array.from(hash), Uint8Array.from(note)];
    return this.#writing(() => {
      this.#sql.addHead.run(database, size, storedHash, storedNote);
    });
  }

  async *heads(database: string): AsyncGenerator<SignedHead> {
    for (let last = -1; ; ) {
      const page = this.#reading(() => this.#sql.pageOfHeads.all(database, last, PAGE).map(headOf));
      yield* page;
      last = page.at(-1)?.size ?? last;
      if (page.length < PAGE) return;
    }
  }

  async readStop(database: string): Promise<Stop | undefined> {
    const row = this.#reading(() => this.#sql.readStop.get(database));
    return row && { database, at: Number(row.at), evidence: String(row.evidence) as Stop["evidence"] };
  }

  writeStop({ database, at, evidence }: Stop): Promise<void> {
    return this.#writing(() => {
      this.#sql.writeStop.run(database, at, evidence);
    });
  }

  liftStop({ database, evidence }: Stop): Promise<void> {
    return this.#writing(() => {
      this.#sql.liftStop.run(database, evidence);
    });
  }

  async readWatermark(feed: string): Promise<Watermark | undefined> {
    return this.#reading(() => recordOf<Watermark>(this.#sql.readWatermark.get(feed)));
  }

  moveWatermark(watermark: Watermark): Promise<Watermark | "changed"> {
    const { stored, text, read } = nextOf(watermark);
    const { feed, revision } = stored;
    return this.#writing(() => {
      const changed = revise(
        read,
        () => this.#sql.insertWatermark.run(feed, revision, text),
        () => this.#sql.updateWatermark.run(revision, text, feed, read),
      );
      return changed ? stored : "changed";
    });
  }

  takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    return this.#writing(() => Number(this.#sql.takeLease.run(name, owner, until, now).changes) === 1);
  }

  releaseLease(name: string, owner: string): Promise<void> {
    return this.#writing(() => {
      this.#sql.releaseLease.run(name, owner);
    });
  }

  /** The journal's lines of one UTC hour (`2026-01-31T23`), in the order written. */
  async journal(hour: string): Promise<JournalEntry[]> {
    return this.#reading(() =>
      this.#sql.readJournal.all(hour).map(({ event, path, version, at }) => {
        return { event, version: { path, version }, at } as JournalEntry;
      }),
    );
  }

  /** Waits for writes under way, gives the writer's lock back and closes the file. */
  async close(): Promise<void> {
    await this.#commit?.close();
    if (!this.#database.isOpen) return;
    try {
      this.#lock?.release();
    } finally {
      this.#database.close();
    }
  }

  #append({ at, event, version }: JournalEntry): void {
    this.#sql.appendJournal.run(hourOf(at), at, event, version.path, version.version);
  }

  #reading<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw sqliteError(error, this.#path);
    }
  }

  async #writing<T>(work: () => T): Promise<T> {
    if (this.#commit === undefined) throw misuse(this.#path, `${this.#path}: was opened to be read only`);
    return this.#commit.run(work);
  }
}

/** The hour of the journal that `at` (ms since the epoch) falls into: `2026-01-31T23`, UTC. */
export function hourOf(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}

/** What a conditional write stores: the item with the revision after the one that was read. */
function nextOf<T extends { readonly revision: number }>(item: T): { stored: T; text: string; read: number } {
  const stored = { ...item, revision: item.revision + 1 };
  return { stored, text: JSON.stringify(stored), read: item.revision };
}

/** Inserts what was never stored, else updates the very revision that was read. @returns false when it is not there. */
function revise(read: number, insert: () => { changes: number | bigint }, update: typeof insert): boolean {
  return Number((read === 0 ? insert() : update()).changes) === 1;
}

type Row = Record<string, unknown>;

/** Only this class writes these columns, so what they hold is what nextOf put in. */
function recordOf<T>(row: Row | undefined): T | undefined {
  return row === undefined ? undefined : (JSON.parse(String(row.record)) as T);
}

function recordsOf<T>(row: Row): T[] {
  return [JSON.parse(String(row.record)) as T];
}

function itemOf(kind: LedgerItem["kind"], { name, revision, value }: Row): LedgerItem {
  return { kind, name: String(name), revision: Number(revision), value: JSON.parse(String(value)) };
}

function headOf({ size, hash, note }: Row): SignedHead {
  return { size: Number(size), hash: hash as Uint8Array, note: note as Uint8Array };
}
