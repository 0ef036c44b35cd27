import { linkSync, lstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { isSpool } from "../../mirror/body.ts";
import type { TreeObject } from "../../mirror/ports.ts";
import type { DurableFolders } from "./durable-folder.ts";
import { codeOf, fileError, notPlain } from "./file-error.ts";

/** Links made before whatever else this thread has to do gets its turn; one takes some 20 microseconds. */
const LINKS_AT_ONCE = 64;

/**
 * Gives spools that are durable their names below `root`, in their order, then waits until all these names are on the
 * disk. On this thread: a new name in a folder costs less than a trip through the thread pool, and nothing else writes to
 * make it wait.
 * @returns for each object what became of it; undefined where it cannot be linked, and is left to the caller.
 */
export async function linkAll(
  root: string,
  folders: DurableFolders,
  objects: readonly TreeObject[],
): Promise<("created" | "exists" | undefined)[]> {
  const answers: ("created" | "exists" | undefined)[] = [];
  const touched = new Set<string>();
  for (const [at, { key, body, sha256 }] of objects.entries()) {
    if (at % LINKS_AT_ONCE === LINKS_AT_ONCE - 1) await new Promise(setImmediate);
    if (!isSpool(body) || !body.isDurable || body.sha256 !== sha256) {
      answers.push(undefined);
      continue;
    }
    const path = join(root, key);
    const folder = dirname(path);
    try {
      folders.makeNow(folder);
      const answer = linkNow(body.path, path);
      // Also for `exists`: its writer may have died, or may still be, between link and fsync.
      if (answer !== undefined) touched.add(folder);
      if (answer === "created") folders.wrote(folder);
      answers.push(answer);
    } catch (error) {
      throw fileError(error, key);
    }
  }
  try {
    await folders.settleAll(touched);
  } catch (error) {
    throw fileError(error, objects[0]?.key ?? root);
  }
  return answers;
}

/** undefined where it is on another file system, or the folder has vanished behind our back. */
function linkNow(from: string, to: string): "created" | "exists" | undefined {
  try {
    linkSync(from, to);
    return "created";
  } catch (error) {
    const code = codeOf(error);
    if (code === "EXDEV" || code === "ENOENT") return undefined;
    if (code !== "EEXIST") throw error;
    if (!lstatSync(to).isFile()) throw notPlain(to);
    return "exists";
  }
}
