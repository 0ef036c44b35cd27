import type { DatabaseSync } from "node:sqlite";
import { misuse } from "../../mirror/errors.ts";
import { GroupCommit } from "./group-commit.ts";
import { sqliteError } from "./sqlite-error.ts";
import { prepareStatements, type Statements } from "./sqlite-statements.ts";
import { liveWriter, type Writer, type WriterLock } from "./writer-lock.ts";

/** One open ledger file: reads happen at once, writes together with those of other callers (group-commit.ts). */
export class SqliteSession {
  readonly sql: Statements;
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #lock: WriterLock | undefined;
  readonly #commit: GroupCommit | undefined;

  /** @param lock undefined to only read. */
  constructor(database: DatabaseSync, path: string, lock: WriterLock | undefined) {
    this.#database = database;
    this.#path = path;
    this.#lock = lock;
    this.sql = prepareStatements(database);
    this.#commit = lock && new GroupCommit(database, path, () => lock.check());
  }

  /** @throws MirrorError as sqliteError makes it. */
  reading<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw sqliteError(error, this.#path);
    }
  }

  /** Who writes the mirror now; undefined where nobody does. */
  writer(): Writer | undefined {
    return this.reading(() => liveWriter(this.#database));
  }

  /** Runs synchronous `work` in a transaction. @returns its answer, once that is durable. */
  async writing<T>(work: () => T): Promise<T> {
    if (this.#commit === undefined) throw misuse(this.#path, `${this.#path}: was opened to be read only`);
    return this.#commit.run(work);
  }

  /** Waits for writes under way, gives the writer's lock back and closes the file. */
  async close(): Promise<void> {
    await this.#commit?.close();
    if (!this.#database.isOpen) return;
    try {
      this.#lock?.release();
    } catch (error) {
      // On a full disk too.
      throw sqliteError(error, this.#path);
    } finally {
      this.#database.close();
    }
  }
}
