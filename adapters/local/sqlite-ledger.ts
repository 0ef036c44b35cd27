import type { DatabaseSync } from "node:sqlite";
import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { JournalEntry, OpenWork, RecordChange, StateCount } from "../../mirror/ledger-entries.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { Ledger, WantedPlace } from "../../mirror/ports.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import { requireWholeNumbers } from "../../mirror/whole-numbers.ts";
import { openDatabase } from "./sqlite-database.ts";
import { sqliteError } from "./sqlite-error.ts";
import { nextOf, recordOf, recordsOf, revise } from "./sqlite-rows.ts";
import { PAGE, SqliteSeries } from "./sqlite-series.ts";
import { SqliteSession } from "./sqlite-session.ts";
import { takeWriterLock, type Writer, type WriterLock } from "./writer-lock.ts";

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

/** Sorts behind every window. */
const AFTER_ALL_HOURS = "~";
/** Of a kilobyte each, so that a reader of a million holds few of them. */
const RECORDS_PER_PAGE = 100;
const NO_LOCK: WriterLock = { check: () => {}, release: () => {} };

/** A Ledger in one SQLite file: one process writes it, others may read it meanwhile. */
export class SqliteLedger extends SqliteSeries implements Ledger {
  /** @param lock undefined to only read. */
  constructor(database: DatabaseSync, path: string, lock: WriterLock | undefined) {
    super(new SqliteSession(database, path, lock));
  }

  /** Who writes the mirror now; undefined where nobody does. */
  writer(): Writer | undefined {
    return this.session.writer();
  }

  async read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]> {
    return this.session.reading(() =>
      versions.map(({ path, version }) =>
        recordOf<VersionRecord>(this.session.sql.readVersion.get(path, version)),
      ),
    );
  }

  async readModule(path: ModulePath): Promise<VersionRecord[]> {
    return this.session.reading(() =>
      this.session.sql.readModule.all(path).flatMap(recordsOf<VersionRecord>),
    );
  }

  async write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]> {
    for (const { record } of changes) requireWholeNumbers(`${record.path}@${record.version}`, record);
    const rows = changes.map(({ record, journal, work = [] }) => ({
      ...nextOf(record),
      journal: journal && { ...journal },
      work: [...work],
    }));
    return await this.session.writing(() =>
      rows.map(({ stored, text, read, journal, work }) => {
        const { path, version, revision, due = null, wantedAt } = stored;
        const state = stored.state === "READY" ? null : stored.state;
        const changed = revise(
          read,
          () => this.session.sql.insertVersion.run(path, version, revision, due, state, wantedAt, text),
          () => this.session.sql.updateVersion.run(revision, due, state, wantedAt, text, path, version, read),
        );
        if (!changed) return "changed";
        if (journal !== undefined) this.#append(journal);
        for (const { feed, window, change } of work) this.session.sql.addWork.run(feed, window, change);
        return stored;
      }),
    );
  }

  async forget(records: readonly VersionRecord[]): Promise<number> {
    const gone = records.map(({ path, version, revision }) => ({ path, version, revision }));
    return await this.session.writing(() =>
      gone.reduce(
        (sum, { path, version, revision }) =>
          sum + Number(this.session.sql.deleteVersion.run(path, version, revision).changes),
        0,
      ),
    );
  }

  /** By path, then version, both by bytes. */
  async *records(after?: ModuleVersion): AsyncGenerator<VersionRecord> {
    let last: { readonly path: string; readonly version: string } = after ?? { path: "", version: "" };
    for (;;) {
      const page = this.session.reading(() =>
        this.session.sql.pageOfVersions.all(last.path, last.version, RECORDS_PER_PAGE),
      );
      // One at a time: a page of parsed ones would outlive the nursery.
      for (const row of page) {
        const [record] = recordsOf<VersionRecord>(row);
        if (record === undefined) continue;
        last = record;
        yield record;
      }
      if (page.length < RECORDS_PER_PAGE) return;
    }
  }

  /** Within an hour in the order written. */
  async *journal(from: number, to: number): AsyncGenerator<JournalEntry> {
    let last = { hour: hourOf(from), id: -1 };
    for (;;) {
      const page = this.session.reading(() =>
        this.session.sql.pageOfJournal.all(last.hour, last.id, hourOf(to), from, to, PAGE),
      );
      for (const { event, path, version, at } of page)
        yield { event, version: { path, version }, at } as JournalEntry;
      const end = page.at(-1);
      if (end === undefined || page.length < PAGE) return;
      last = { hour: String(end.hour), id: Number(end.id) };
    }
  }

  async due(before: number, limit: number): Promise<VersionRecord[]> {
    return this.session.reading(() =>
      this.session.sql.dueVersions.all(before, limit).flatMap(recordsOf<VersionRecord>),
    );
  }

  async inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: WantedPlace },
  ): Promise<VersionRecord[]> {
    const { wantedAt, path, version } = after ?? {
      wantedAt: Number.NEGATIVE_INFINITY,
      path: "",
      version: "",
    };
    return this.session.reading(() =>
      this.session.sql.inState.all(state, wantedAt, path, version, limit).flatMap(recordsOf<VersionRecord>),
    );
  }

  async countState(state: State): Promise<StateCount> {
    const row = this.session.reading(() => this.session.sql.countState.get(state));
    const oldest = row?.oldest;
    return { count: Number(row?.n), ...(typeof oldest === "number" ? { oldest } : {}) };
  }

  async *openWork(feed: string, before = AFTER_ALL_HOURS): AsyncGenerator<OpenWork> {
    const rows = this.session.reading(() => this.session.sql.openWork.all(feed, before));
    for (const { hour, open } of rows) yield { window: String(hour), open: Number(open) };
  }

  async forgetWork(feed: string, before: string): Promise<void> {
    await this.session.writing(() => void this.session.sql.forgetWork.run(feed, before));
  }

  async readRequest({ name, time }: RequestKey): Promise<RequestRecord | undefined> {
    return this.session.reading(() => recordOf<RequestRecord>(this.session.sql.readRequest.get(name, time)));
  }

  async writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    requireWholeNumbers(`request ${record.name}/${record.time}`, record);
    const { stored, text, read } = nextOf(record);
    const { name, time, revision, due = null } = stored;
    return await this.session.writing(() => {
      const changed = revise(
        read,
        () => this.session.sql.insertRequest.run(name, time, revision, due, text),
        () => this.session.sql.updateRequest.run(revision, due, text, name, time, read),
      );
      return changed ? stored : "changed";
    });
  }

  async forgetRequest({ name, time, revision }: RequestRecord): Promise<boolean> {
    return await this.session.writing(() => {
      if (Number(this.session.sql.deleteRequest.run(name, time, revision).changes) === 0) return false;
      this.session.sql.deleteOrders.run(name, time);
      return true;
    });
  }

  async *requests(): AsyncGenerator<RequestRecord> {
    let last = { name: "", time: "" };
    for (;;) {
      const page = this.session.reading(() =>
        this.session.sql.pageOfRequests.all(last.name, last.time, PAGE),
      );
      const records = page.flatMap(recordsOf<RequestRecord>);
      yield* records;
      last = records.at(-1) ?? last;
      if (page.length < PAGE) return;
    }
  }

  async dueRequests(before: number, limit: number): Promise<RequestRecord[]> {
    return this.session.reading(() =>
      this.session.sql.dueRequests.all(before, limit).flatMap(recordsOf<RequestRecord>),
    );
  }

  openOrders({ name, time }: RequestKey, numbers: readonly number[]): Promise<void> {
    const opened = [...numbers];
    return this.session.writing(() => {
      for (const number of opened) this.session.sql.openOrder.run(name, time, number);
    });
  }

  closeOrder({ name, time }: RequestKey, number: number): Promise<{ readonly open: number }> {
    return this.session.writing(() => {
      this.session.sql.closeOrder.run(name, time, number);
      return { open: Number(this.session.sql.countOrders.get(name, time)?.n) };
    });
  }

  /** Waits for writes under way, gives the writer's lock back and closes the file. */
  close(): Promise<void> {
    return this.session.close();
  }

  #append({ at, event, version }: JournalEntry): void {
    this.session.sql.appendJournal.run(hourOf(at), at, event, version.path, version.version);
  }
}

/** The hour of the journal that `at` (ms since the epoch) falls into: `2026-01-31T23`, UTC. */
export function hourOf(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}
