import type { Tree } from "../ports.ts";
import type { ScrubWork } from "./scrub-work.ts";
import type { Shard } from "./tree-order.ts";

/** The tree's keys but for tiles, of which tile-check.ts has its own listing. */
export async function* keyListing(
  { tree, databases }: { readonly tree: Pick<Tree, "keys">; readonly databases: ReadonlySet<string> },
  cursor: string,
  shard: Shard,
  work: ScrubWork,
): AsyncGenerator<{ readonly key: string; readonly size: number }> {
  for (let from: string | undefined = cursor; from !== undefined; ) {
    let next: string | undefined;
    for await (const entry of tree.keys(from)) {
      const database = databaseOfTile(entry.key);
      if (database === undefined) {
        yield entry;
        continue;
      }
      if (!databases.has(database) && shard.index === 1) {
        const message = "the key of this checksum database is not known; give it with --sumdb";
        work.found([{ kind: "database", subject: `sumdb/${database}`, message }]);
      }
      // Behind all that begins with `tile/`.
      next = `sumdb/${database}/tile0`;
      break;
    }
    from = next;
  }
}

function databaseOfTile(key: string): string | undefined {
  if (!key.startsWith("sumdb/")) return undefined;
  const tile = key.indexOf("/tile/");
  const lookup = key.indexOf("/lookup/");
  if (tile < 0 || (lookup >= 0 && lookup < tile)) return undefined;
  return key.slice("sumdb/".length, tile);
}
