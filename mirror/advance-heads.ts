import type { ChecksumDatabase } from "./checksum-database.ts";
import { asMirrorError, type MirrorError } from "./errors.ts";
import { describeStop, evidenceKey } from "./fork-stop.ts";
import { noteHeadTime } from "./head-times.ts";
import type { MirrorParts } from "./parts.ts";

type Advancing = Pick<ChecksumDatabase, "name" | "advance">;

/**
 * Moves the mirror to each database's newest head, side by side; one that cannot be had now, or has forked, holds up none
 * of the others: records are proven under the last head where they can be. When a head was there is noted. Without a head so far nothing is asked: the
 * first record to be proven brings one, and perhaps no path here is covered.
 * @returns what is wrong, by database.
 */
export async function advanceHeads(
  { ledger, now }: Pick<MirrorParts, "ledger" | "now">,
  databases: readonly Advancing[],
): Promise<readonly { readonly database: string; readonly error: MirrorError }[]> {
  const advance = async (database: Advancing): Promise<MirrorError | undefined> => {
    try {
      if ((await ledger.readHead(database.name)) === undefined) return undefined;
      await database.advance();
      // What a minimum age is counted from (mirror/sightings.ts).
      await noteHeadTime({ ledger, now }, database.name);
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

/** Reports each database that is stopped (`forked`), as long as it is: whoever watches may have missed the first time. */
export async function reportStops(
  { ledger, report }: Pick<MirrorParts, "ledger" | "report">,
  databases: readonly Pick<ChecksumDatabase, "name">[],
): Promise<void> {
  for (const { name } of databases) {
    const stop = await ledger.readStop(name);
    if (stop === undefined) continue;
    report({ event: "forked", database: name, evidence: stop.evidence, reason: evidenceKey(stop) });
  }
}

/** The databases of which nothing more is published, a line each: what is wrong, and what to do. */
export async function stoppedDatabases(
  { ledger }: Pick<MirrorParts, "ledger">,
  databases: readonly Pick<ChecksumDatabase, "name">[],
): Promise<readonly string[]> {
  const stops = await Promise.all(databases.map(({ name }) => ledger.readStop(name)));
  return stops.flatMap((stop) => (stop === undefined ? [] : [describeStop(stop)]));
}
