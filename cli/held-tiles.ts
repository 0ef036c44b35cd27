import type { Ledger } from "../mirror/ports.ts";
import { readFilled } from "../mirror/tile-filling.ts";
import type { TileExtent } from "../sumdb/tile-extent.ts";

/** How many tiles this mirror holds of its databases, by its own watermarks: what is brought back is that, and no more. */
export async function heldTiles(ledger: Ledger, databases: readonly string[]): Promise<TileExtent> {
  let held: TileExtent = "needed";
  for (const database of databases) {
    if ((await readFilled(ledger, database, "full")).size > 0) return "full";
    if ((await readFilled(ledger, database, "upper")).size > 0) held = "upper";
  }
  return held;
}
