import type { Verifier } from "../../sumdb/note.ts";
import type { FilledExtent } from "../../sumdb/tile-extent.ts";
import { openTreeHead, type SignedHead } from "../../sumdb/tree-head.ts";
import type { Ledger, Tree } from "../ports.ts";
import { behind, lackingOf, PresentTiles, tilesPrefix } from "../scrub/present-tiles.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { readFilled, tilesFeed } from "../tile-filling.ts";
import { parseTreeKey, treeHeadKey } from "../tree-keys.ts";

type HeadParts = {
  readonly tree: Pick<Tree, "get" | "keys">;
  readonly ledger: Pick<Ledger, "readHead" | "addHead" | "readWatermark" | "moveWatermark">;
};

/**
 * The newest head that the tree shows, into the ledger, and how many tiles are held, as far as all of an extent are.
 * Earlier heads come with the lookups that carry them.
 * @returns the newest head, perhaps one that the ledger knew already; undefined where the tree has none that reads.
 */
export async function rebuildHead(
  { tree, ledger }: HeadParts,
  verifier: Verifier,
): Promise<{ readonly head: SignedHead | undefined; readonly extents: readonly FilledExtent[] }> {
  const { name } = verifier;
  const stored = await tree.get(treeHeadKey(name), LARGEST_LOOKUP);
  const known = await ledger.readHead(name);
  let head = known;
  try {
    const shown = stored && openTreeHead(stored.bytes, verifier);
    if (shown !== undefined && shown.size > (known?.size ?? 0)) {
      await ledger.addHead(name, shown);
      head = shown;
    }
  } catch {
    // Damaged: the lookups' heads are proven one by one, and the newest of them counts.
  }
  return { head, extents: head === undefined ? [] : await rebuildExtents({ tree, ledger }, name, head.size) };
}

async function rebuildExtents(
  { tree, ledger }: HeadParts,
  database: string,
  size: number,
): Promise<readonly FilledExtent[]> {
  const present = new PresentTiles();
  for await (const { key } of behind(tree, tilesPrefix(database))) {
    const entry = parseTreeKey(key);
    if (entry?.kind === "tile") present.add(entry.tile);
  }
  const found: FilledExtent[] = [];
  for (const extent of ["upper", "full"] as const) {
    if (lackingOf(extent, size, present).next().done !== true) continue;
    found.push(extent);
    const { size: known, revision } = await readFilled(ledger, database, extent);
    if (known >= size) continue;
    await ledger.moveWatermark({ feed: tilesFeed(database, extent), timestamp: String(size), revision });
  }
  return found;
}
