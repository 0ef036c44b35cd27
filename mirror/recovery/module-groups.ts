import type { ModulePath } from "../../gomod/module-path.ts";
import type { Tree } from "../ports.ts";
import { parseTreeKey } from "../tree-keys.ts";

/** All keys of one module that are in the tree. */
export interface ModuleGroup {
  readonly path: ModulePath;
  readonly keys: ReadonlySet<string>;
}

/** Behind all keys of the checksum databases; no module path begins with `sumdb/` (its first element has a dot). */
const AFTER_SUMDB = "sumdb0";

/** The modules of a tree, as its sorted listing has them; lookups, tiles and all else are passed over. */
export async function* moduleGroups(tree: Pick<Tree, "keys">): AsyncGenerator<ModuleGroup> {
  let group: { path: ModulePath; keys: Set<string> } | undefined;
  for (let from: string | undefined = ""; from !== undefined; ) {
    let next: string | undefined;
    for await (const { key } of tree.keys(from)) {
      if (key.startsWith("sumdb/")) {
        next = AFTER_SUMDB;
        break;
      }
      const entry = parseTreeKey(key);
      const path =
        entry && ("version" in entry ? entry.version.path : "path" in entry ? entry.path : undefined);
      if (path === undefined) continue;
      if (group !== undefined && group.path !== path) yield group;
      if (group?.path !== path) group = { path, keys: new Set() };
      group.keys.add(key);
    }
    from = next;
  }
  if (group !== undefined) yield group;
}
