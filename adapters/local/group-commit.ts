import { close, fdatasync, openSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { promisify } from "node:util";
import { MirrorError } from "../../mirror/errors.ts";
import { sqliteError } from "./sqlite-error.ts";

const fdatasyncLater = promisify(fdatasync);
const closeLater = promisify(close);

interface Job {
  run(): unknown;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/**
 * Makes the writes of many callers durable together: what is asked for while one transaction is on its way to the
 * disk forms the next one. Each caller hears of its write only after COMMIT and fsync of the write-ahead log.
 *
 * SQLite's synchronous=FULL would do that fsync itself, inside of COMMIT, with this thread at a standstill for as long
 * as the disk takes. So COMMIT only appends to the log (`synchronous=NORMAL`), and the fsync goes to the thread pool.
 * A power cut before it takes back whole transactions from the end on, which nobody has been told of. The log is the
 * same file as long as this connection is open: SQLite rewrites it from the start, but never renames it.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #check: () => void;
  readonly #log: number;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  #jobs: Job[] = [];
  #working: Promise<void> | undefined;
  #broken: MirrorError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param path the database's file; the log lies beside it.
   * @param check runs inside each transaction first, and throws when this process may no longer write.
   */
  constructor(database: DatabaseSync, path: string, check: () => void) {
    this.#database = database;
    this.#path = path;
    this.#check = check;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#rollback = database.prepare("ROLLBACK");
    // No lock of SQLite's is on the log's descriptor, so that another one on it may come and go.
    this.#log = openSync(`${path}-wal`, "r+");
  }

  /**
   * Runs `work`, which must be synchronous, in the next transaction.
   * @returns its answer, once that is durable.
   * @throws MirrorError as `sqliteError` and `check` make it; then the whole transaction was rolled back, or, when
   * the fsync failed, its outcome is unknown and nothing more is written until the ledger is opened again.
   */
  run<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ run: work, resolve: resolve as Job["resolve"], reject });
      this.#working ??= this.#work();
    });
  }

  /** Waits for all that was asked for; what is asked for afterwards is refused. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
    this.#broken = new MirrorError("transient", this.#path, `${this.#path}: already closed`);
    await closeLater(this.#log);
  }

  async #work(): Promise<void> {
    // One turn of the event loop, for all that its callbacks are about to ask for.
    await new Promise(setImmediate);
    while (this.#jobs.length > 0) {
      const jobs = this.#jobs;
      this.#jobs = [];
      try {
        const answers = this.#transact(jobs);
        await this.#sync();
        jobs.forEach((job, at) => {
          job.resolve(answers[at]);
        });
      } catch (error) {
        for (const job of jobs) job.reject(sqliteError(error, this.#path));
      }
      // The callers go on before the next transaction begins, so that what they ask for joins it.
      await new Promise(setImmediate);
    }
    this.#working = undefined;
  }

  #transact(jobs: readonly Job[]): unknown[] {
    if (this.#broken) throw this.#broken;
    this.#begin.run();
    try {
      this.#check();
      const answers = jobs.map((job) => job.run());
      this.#commit.run();
      return answers;
    } catch (error) {
      if (this.#database.isTransaction) this.#rollback.run();
      throw error;
    }
  }

  async #sync(): Promise<void> {
    try {
      await fdatasyncLater(this.#log);
    } catch (cause) {
      // The kernel reports a lost page once only: a later fsync would succeed without it.
      const message = `${this.#path}: the disk failed to store the last changes; check it and run again`;
      this.#broken = new MirrorError("transient", this.#path, message, { cause });
      throw this.#broken;
    }
  }
}
