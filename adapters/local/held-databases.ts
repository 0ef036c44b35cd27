import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** What lies directly below a checksum database's folder (mirror/tree-keys.ts). */
const PARTS: readonly string[] = ["latest", "lookup", "supported", "tile"];
/** A name is a host, perhaps with a path. */
const DEEPEST = 4;
const MOST_DATABASES = 100;

/** The checksum databases of which the tree in a folder holds anything, by name, sorted. */
export async function heldDatabases(tree: string): Promise<string[]> {
  const found: string[] = [];
  const look = async (name: string, depth: number): Promise<void> => {
    const entries = await entriesOf(join(tree, "sumdb", name));
    if (entries.some((entry) => PARTS.includes(entry.name))) found.push(name);
    if (depth === DEEPEST) return;
    for (const entry of entries) {
      if (found.length === MOST_DATABASES) return;
      if (entry.isDirectory() && !PARTS.includes(entry.name))
        await look(name === "" ? entry.name : `${name}/${entry.name}`, depth + 1);
    }
  };
  await look("", 0);
  return found.sort();
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch {
    return []; // Nothing was stored there yet.
  }
}
