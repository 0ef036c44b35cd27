import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { misuse } from "../../mirror/errors.ts";

/**
 * Lets one `npm start` at a time work in a folder. The lock is an SQLite write transaction: the operating system drops
 * it when its owner dies, however that ends.
 * @throws MirrorError misuse when another one is at work.
 */
export function lockWorkplace(file: string): { release(): void } {
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    const remedy = "stop it with Ctrl-C, or use its GOPROXY";
    throw misuse("npm start", `npm start: another one is running in ${dirname(file)}: ${remedy}`, cause);
  }
  return { release: () => lock.close() };
}
