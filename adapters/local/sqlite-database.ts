import { accessSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { misuse } from "../../mirror/errors.ts";
import { codeOf } from "./file-error.ts";
import { sqliteError } from "./sqlite-error.ts";

/** The ledger's format, kept in SQLite's user_version; a newer one is refused. */
const FORMAT = 3;
/** Tells a ledger from other SQLite files: `modf` in ASCII (SQLite's application_id). */
const APPLICATION = 0x6d6f6466;
/** How long a statement waits for another process's transaction, in milliseconds; ours take some of them. */
const BUSY_TIMEOUT = 10_000;
/** The write-ahead log is cut back to this many bytes once a checkpoint has emptied it. */
const WAL_SIZE_LIMIT = 16 * 1024 * 1024;

/** Came with format 2. */
const STOP =
  "CREATE TABLE stop (database TEXT PRIMARY KEY, at REAL NOT NULL, evidence TEXT NOT NULL) STRICT;";

/** Came with format 3. */
const OPEN_STATES =
  "CREATE INDEX version_open_state ON version (open_state, wanted_at) WHERE open_state IS NOT NULL;";
const OPEN_WORK_AND_ITEMS = `
  CREATE TABLE open_work (
    feed TEXT NOT NULL, hour TEXT NOT NULL, open INTEGER NOT NULL,
    PRIMARY KEY (feed, hour)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE item (
    kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;`;

/**
 * Records are JSON text, with what is searched for beside it. Times are REAL, since waits with jitter have fractions.
 * `version_due` and `request_due` hold only what is due at some time; `open_state` is NULL for READY.
 */
const SCHEMA = `
  CREATE TABLE version (
    path TEXT NOT NULL, version TEXT NOT NULL, revision INTEGER NOT NULL, due REAL, record TEXT NOT NULL,
    open_state TEXT, wanted_at REAL,
    PRIMARY KEY (path, version)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX version_due ON version (due) WHERE due IS NOT NULL;
  ${OPEN_STATES}
  ${OPEN_WORK_AND_ITEMS}
  CREATE TABLE journal (
    id INTEGER PRIMARY KEY, hour TEXT NOT NULL, at REAL NOT NULL, event TEXT NOT NULL,
    path TEXT NOT NULL, version TEXT NOT NULL
  ) STRICT;
  CREATE INDEX journal_hour ON journal (hour);
  CREATE TABLE request (
    name TEXT NOT NULL, time TEXT NOT NULL, revision INTEGER NOT NULL, due REAL, record TEXT NOT NULL,
    PRIMARY KEY (name, time)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX request_due ON request (due) WHERE due IS NOT NULL;
  CREATE TABLE open_order (
    name TEXT NOT NULL, time TEXT NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (name, time, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE head (
    database TEXT NOT NULL, size INTEGER NOT NULL, hash BLOB NOT NULL, note BLOB NOT NULL,
    PRIMARY KEY (database, size)
  ) STRICT, WITHOUT ROWID;
  ${STOP}
  CREATE TABLE watermark (feed TEXT PRIMARY KEY, revision INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
  CREATE TABLE lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL) STRICT;
  CREATE TABLE writer (
    id INTEGER PRIMARY KEY CHECK (id = 1), owner TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL,
    namespace TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, since REAL NOT NULL, beat REAL NOT NULL
  ) STRICT;
`;

/**
 * Opens a ledger's database; in write mode it is made where it is missing.
 * Commits do not fsync (synchronous=NORMAL): GroupCommit does, off this thread, before any caller hears of them.
 * SQLite itself still fsyncs around each checkpoint, so a crash never damages the database.
 * @throws MirrorError misuse when it is missing, foreign, newer, or may not be opened.
 */
export function openDatabase(path: string, mode: "write" | "read"): DatabaseSync {
  if (mode === "read" && !existsSync(path)) {
    throw misuse(path, `${path}: no such ledger; \`modferry sync\` makes one`);
  }
  let database: DatabaseSync | undefined;
  try {
    const location = mode === "read" && isOnReadOnlyMedium(path) ? unchanging(path) : path;
    database = new DatabaseSync(location, { readOnly: mode === "read", timeout: BUSY_TIMEOUT });
    if (!isLedger(database, path)) {
      if (mode === "read") throw misuse(path, `${path}: holds no ledger yet; run \`modferry sync\` first`);
      create(database, path);
    }
    if (pragma(database, "user_version") < FORMAT) {
      if (mode === "read")
        throw misuse(path, `${path}: written by an older modferry; run \`modferry sync\` once`);
      update(database);
    }
    if (mode === "write") {
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
        PRAGMA journal_size_limit = ${WAL_SIZE_LIMIT}`);
    }
    return database;
  } catch (error) {
    database?.close();
    throw sqliteError(error, path);
  }
}

/** A disc, or a file system that is mounted so: nobody writes there, and no file of locks can be made beside the ledger. */
function isOnReadOnlyMedium(path: string): boolean {
  try {
    accessSync(dirname(path), constants.W_OK);
    return false;
  } catch (error) {
    return codeOf(error) === "EROFS";
  }
}

/**
 * A ledger on such a medium (SQLite, URI filenames: `immutable`). A write-ahead log beside it, which a writer that was
 * killed has left, would not be read then: both are read from a copy.
 */
function unchanging(path: string): URL {
  const log = `${path}-wal`;
  if ((statSync(log, { throwIfNoEntry: false })?.size ?? 0) === 0) {
    const url = pathToFileURL(path);
    url.search = "immutable=1";
    return url;
  }
  const folder = mkdtempSync(join(tmpdir(), "modferry-ledger-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const copy = join(folder, basename(path));
  copyFileSync(path, copy);
  copyFileSync(log, `${copy}-wal`);
  return pathToFileURL(copy);
}

/** Whether the tables are there; false for an empty database. */
function isLedger(database: DatabaseSync, path: string): boolean {
  const format = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  if (application === APPLICATION && format <= FORMAT) return true;
  if (application === APPLICATION) {
    throw misuse(
      path,
      `${path}: written by a newer modferry (format ${format}, this one knows ${FORMAT}); update modferry`,
    );
  }
  const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n;
  if (application !== 0 || format !== 0 || tables !== 0)
    throw misuse(path, `${path}: a database of another program`);
  return false;
}

/** Makes all tables in one transaction: a crash leaves an empty database. */
function create(database: DatabaseSync, path: string): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have been first while we waited for the transaction.
    if (!isLedger(database, path)) {
      database.exec(`${SCHEMA} PRAGMA application_id = ${APPLICATION}; PRAGMA user_version = ${FORMAT}`);
    }
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

/** Format 1 had one database's record of a version, `{"database": …, "id": …}`; now each has its own by name. */
const RENAME_PROOFS = `UPDATE version SET record = json_remove(
  json_set(record, '$.sumdbRecords', json_object(record ->> '$.sumdbRecord.database', record -> '$.sumdbRecord.id')),
  '$.sumdbRecord') WHERE record -> '$.sumdbRecord' IS NOT NULL;`;

/** Format 2 had no states beside its records. */
const ADD_STATES = `ALTER TABLE version ADD COLUMN open_state TEXT; ALTER TABLE version ADD COLUMN wanted_at REAL;
  UPDATE version SET open_state = nullif(record ->> '$.state', 'READY'), wanted_at = record ->> '$.wantedAt';`;

/** From an earlier format, step by step in one transaction; a crash leaves it as it was. */
function update(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    // Another process may have been first while we waited for the transaction.
    const format = pragma(database, "user_version");
    if (format < 2) database.exec(`${STOP} ${RENAME_PROOFS}`);
    if (format < 3) database.exec(`${ADD_STATES} ${OPEN_STATES} ${OPEN_WORK_AND_ITEMS}`);
    database.exec(`PRAGMA user_version = ${FORMAT}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}
