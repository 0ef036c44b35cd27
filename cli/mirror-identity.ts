import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";

/** On each reply of `modferry serve`: tells a `modferry sync` on the same machine whose mirror answers. */
export const IDENTITY_HEADER = "Modferry-Mirror";

/** Names the mirror in a folder, by its ledger's file: the same for every path that leads to it. Empty where none is. */
export async function mirrorIdentity(folder: string): Promise<string> {
  try {
    const { dev, ino, birthtimeNs } = await stat(join(folder, "ledger.sqlite"), { bigint: true });
    return createHash("sha256").update(`${dev}/${ino}/${birthtimeNs}`).digest("hex").slice(0, 16);
  } catch {
    return "";
  }
}
