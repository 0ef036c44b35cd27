import type { ChecksumDatabase } from "./checksum-database.ts";
import { asMirrorError, type MirrorError } from "./errors.ts";
import { type Deadline, type MirrorParts, noDeadline } from "./parts.ts";
import { TICK_LEASE } from "./tick-lease.ts";

type Completing = Pick<ChecksumDatabase, "name" | "complete">;

/** What became of one database's tiles; without an error, there was no time for all. */
export interface Incomplete {
  readonly database: string;
  readonly error?: MirrorError;
}

/**
 * Holds all tiles that the configuration asks for of each database, side by side, as far as time allows.
 * @returns of which not all are held.
 */
export async function completeTiles(
  databases: readonly Completing[],
  deadline: Deadline = noDeadline,
): Promise<readonly Incomplete[]> {
  const results = await Promise.all(
    databases.map(async (database): Promise<Incomplete | undefined> => {
      const { name } = database;
      try {
        return (await database.complete(deadline)) ? undefined : { database: name };
      } catch (thrown) {
        return { database: name, error: asMirrorError(thrown, name) };
      }
    }),
  );
  return results.filter((result) => result !== undefined);
}

/**
 * As completeTiles, where ticks may overlap: one of them fills, so that the source is not asked for all twice. Where this
 * process has seen them all held and no head is new since, the ledger is not asked at all.
 */
export async function completeTilesTick(
  { ledger, now }: Pick<MirrorParts, "ledger" | "now">,
  databases: readonly (Completing & Pick<ChecksumDatabase, "isComplete">)[],
  owner: string,
  deadline: Deadline,
): Promise<readonly Incomplete[]> {
  const complete = await Promise.all(databases.map((database) => database.isComplete()));
  if (complete.every((is) => is)) return [];
  const at = now();
  if (!(await ledger.takeLease("tiles", owner, at, at + TICK_LEASE))) return [];
  try {
    return await completeTiles(databases, deadline);
  } finally {
    await ledger.releaseLease("tiles", owner);
  }
}
