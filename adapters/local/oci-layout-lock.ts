import { closeSync, mkdirSync, openSync, rmdirSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { misuse } from "../../mirror/errors.ts";
import { codeOf, fileError } from "./file-error.ts";

/** The right to change one layout, until `release` or death: whose lock it is the kernel knows, through SQLite. */
export interface LayoutLock {
  /** Removes the lock's file, and its folder where nothing else is in it. */
  release(): void;
}

/**
 * @param path of the lock's file; its folder is made where it is missing.
 * @param layout its address, for messages.
 * @throws MirrorError misuse where another process has it.
 */
export function lockLayout(path: string, layout: string): LayoutLock {
  for (;;) {
    const database = locked(path, layout);
    // Whoever had it before has perhaps removed the file after we opened it: then it is not what others will lock.
    if (database !== undefined)
      return {
        release: () => {
          try {
            rmSync(path, { force: true });
            rmdirSync(dirname(path));
          } catch (error) {
            if (codeOf(error) !== "ENOTEMPTY" && codeOf(error) !== "EEXIST") throw fileError(error, path);
          } finally {
            database.close();
          }
        },
      };
  }
}

/** undefined where what was locked is not what lies there now. */
function locked(path: string, layout: string): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(path), { recursive: true });
    closeSync(openSync(path, "a", 0o644));
    // Known before it is opened: an inode that is open is given to no other file.
    const before = inodeOf(path);
    database = new DatabaseSync(path);
    // A journal would be a file beside it, and there is nothing to roll back.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    if (before !== undefined && before === inodeOf(path)) return database;
    database.close();
    return undefined;
  } catch (error) {
    database?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY)
      throw misuse(
        layout,
        `${layout}: another export is writing into it; wait for it, or name another folder`,
      );
    throw fileError(error, path);
  }
}

const SQLITE_BUSY = 5;

const inodeOf = (path: string): number | undefined => statSync(path, { throwIfNoEntry: false })?.ino;
