import type { Tree } from "./ports.ts";
import { parseTreeKey } from "./tree-keys.ts";

const SUMDB = "sumdb/";
/** Sorts behind whatever begins with `/` in its place. */
const AFTER_SLASH = "0";
/** Four of a database, and one of each key that is none of ours. */
const MOST_LISTINGS = 500;

/**
 * The checksum databases of which a tree holds anything, by name, sorted. Each part of one (`latest`, `lookup/`,
 * `supported`, `tile/`) costs one listing from behind it, whatever it holds.
 */
export async function databasesIn(tree: Pick<Tree, "keys">): Promise<string[]> {
  const found = new Set<string>();
  let after = SUMDB;
  for (let listings = 0; listings < MOST_LISTINGS; listings++) {
    const key = await firstAfter(tree, after);
    if (key === undefined || !key.startsWith(SUMDB)) break;
    const entry = parseTreeKey(key);
    after = key;
    if (entry === undefined || !("database" in entry)) continue;
    found.add(entry.database);
    const folder = /^(?:lookup|tile)(?=\/)/.exec(key.slice(`${SUMDB}${entry.database}/`.length))?.[0];
    if (folder !== undefined) after = `${SUMDB}${entry.database}/${folder}${AFTER_SLASH}`;
  }
  return [...found].sort();
}

async function firstAfter(tree: Pick<Tree, "keys">, after: string): Promise<string | undefined> {
  for await (const { key } of tree.keys(after)) return key;
  return undefined;
}
