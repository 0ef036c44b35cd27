import type { ChecksumDatabase } from "../mirror/checksum-database.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { keepEvidence } from "../mirror/evidence.ts";
import type { MirrorParts } from "../mirror/parts.ts";

/**
 * Moves the mirror to the checksum database's newest head. One that cannot be had now stops nothing: records are proven
 * under the last one where they can be. Without a head so far, the first record to be proven brings one; perhaps no
 * database covers anything here.
 * @throws MirrorError mismatch, with its evidence in the vault: the database forked, and no record can be trusted.
 */
export async function advanceHead(
  parts: Pick<MirrorParts, "ledger" | "vault"> & {
    readonly database: Pick<ChecksumDatabase, "name" | "advance">;
  },
): Promise<void> {
  const { database, ledger, vault } = parts;
  try {
    if ((await ledger.readHead(database.name)) !== undefined) await database.advance();
  } catch (thrown) {
    const error = asMirrorError(thrown, database.name);
    const labels = { class: error.class, reason: error.message };
    console.error(JSON.stringify({ message: "head not advanced", labels }));
    if (error.class !== "mismatch") return;
    await keepEvidence(vault, error);
    throw error;
  }
}
