import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

/** The checkout's own cache for tests: git-ignored, shared by all suites, safe to delete at any time. */
export const testCache = resolve(import.meta.dirname, "../../.modferry/test-cache");

const POLL_MS = 100;
/** SQLITE_BUSY of the SQLite result codes: another connection holds the lock. */
const SQLITE_BUSY = 5;

/**
 * Runs `body` while no other process, and no other call in this one, runs a body under the same `lockFile`.
 * The lock is an SQLite write transaction: the operating system drops it when its owner dies, so a killed
 * test run leaves nothing to clean up.
 * @throws what `body` throws, and an Error when the lock is not had within `patienceMs`.
 */
export async function exclusively<T>(
  lockFile: string,
  body: () => Promise<T>,
  patienceMs = 900_000,
): Promise<T> {
  mkdirSync(dirname(lockFile), { recursive: true });
  const lock = new DatabaseSync(lockFile, { timeout: 0 });
  try {
    const end = Date.now() + patienceMs;
    while (!takeWriteLock(lock)) {
      if (Date.now() > end) throw new Error(`${lockFile}: held by another process for ${patienceMs} ms`);
      await sleep(POLL_MS);
    }
    return await body();
  } finally {
    lock.close();
  }
}

function takeWriteLock(lock: DatabaseSync): boolean {
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) return false;
    throw error;
  }
}
