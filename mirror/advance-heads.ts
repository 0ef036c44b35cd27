import type { ChecksumDatabase } from "./checksum-database.ts";
import { asMirrorError, type MirrorError } from "./errors.ts";
import { describeStop, evidenceKey } from "./fork-stop.ts";
import type { MirrorParts } from "./parts.ts";

type Advancing = Pick<ChecksumDatabase, "name" | "advance">;

/**
 * Moves the mirror to each database's newest head, side by side; one that cannot be had now, or has forked, holds up none
 * of the others: records are proven under the last head where they can be. Without a head so far nothing is asked: the
 * first record to be proven brings one, and perhaps no path here is covered. A database that is stopped already is
 * reported again (`forked`).
 * @returns what is wrong, by database.
 */
export async function advanceHeads(
  parts: Pick<MirrorParts, "ledger" | "report">,
  databases: readonly Advancing[],
): Promise<readonly { readonly database: string; readonly error: MirrorError }[]> {
  const { ledger, report } = parts;
  const advance = async (database: Advancing): Promise<MirrorError | undefined> => {
    try {
      const stop = await ledger.readStop(database.name);
      if (stop !== undefined) {
        const { evidence } = stop;
        report({ event: "forked", database: database.name, evidence, reason: evidenceKey(stop) });
      }
      if ((await ledger.readHead(database.name)) !== undefined) await database.advance();
      return undefined;
    } catch (thrown) {
      return asMirrorError(thrown, database.name);
    }
  };
  const errors = await Promise.all(databases.map(advance));
  return databases.flatMap(({ name: database }, at) => {
    const error = errors[at];
    return error === undefined ? [] : [{ database, error }];
  });
}

/** The databases of which nothing more is published, a line each: what is wrong, and what to do. */
export async function stoppedDatabases(
  { ledger }: Pick<MirrorParts, "ledger">,
  databases: readonly Pick<ChecksumDatabase, "name">[],
): Promise<readonly string[]> {
  const stops = await Promise.all(databases.map(({ name }) => ledger.readStop(name)));
  return stops.flatMap((stop) => (stop === undefined ? [] : [describeStop(stop)]));
}
