import { PUBLIC_DATABASE_HEADS, PUBLIC_DATABASE_KEY } from "../sumdb/known-databases.ts";
import { type HeadTime, headTimes } from "./head-times.ts";
import type { Policy } from "./policy.ts";
import type { Ledger } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import type { Sighting } from "./sighting.ts";

const PUBLIC_DATABASE = PUBLIC_DATABASE_KEY.slice(0, PUBLIC_DATABASE_KEY.indexOf("+"));

/**
 * From when on this version is known to exist, by each that says so: our own first sight; the feed's stamp; for each
 * checksum database that has proven it, the oldest head above its record whose time is known, configured or seen here;
 * `.info`'s Time only where the policy trusts it. A time that cannot be read is no sighting.
 */
export async function sightingsOf(
  ledger: Pick<Ledger, "readItem">,
  policy: Policy,
  record: VersionRecord,
): Promise<readonly Sighting[]> {
  const sightings: Sighting[] = [{ by: "this mirror's first sight", at: record.firstSeen }];
  const { feed, feedTime, time } = record;
  if (feed !== undefined) add(sightings, `the stamp of feed ${feed}`, Date.parse(feedTime ?? ""));
  if (policy.settings.cooldown?.trustTime === true) add(sightings, ".info's Time", Date.parse(time ?? ""));
  for (const [database, id] of Object.entries(record.sumdbRecords ?? {})) {
    const head = oldestAbove(id, [...configured(policy, database), ...(await headTimes(ledger, database))]);
    if (head !== undefined)
      add(sightings, `record ${id} of ${database}, below its head of ${head.size} records`, head.at);
  }
  return sightings;
}

function add(sightings: Sighting[], by: string, at: number): void {
  if (Number.isFinite(at)) sightings.push({ by, at });
}

function configured({ settings }: Policy, database: string): HeadTime[] {
  const anchors = (settings.cooldown?.anchors ?? []).filter((anchor) => anchor.database === database);
  return [...anchors, ...(database === PUBLIC_DATABASE ? PUBLIC_DATABASE_HEADS : [])].map(
    ({ size, time }) => ({ size, at: Date.parse(time) }),
  );
}

/** Record `id` is in every tree of more than `id` records. */
function oldestAbove(id: number, heads: readonly HeadTime[]): HeadTime | undefined {
  return heads
    .filter(({ size }) => size > id)
    .reduce<HeadTime | undefined>(
      (oldest, head) => (oldest === undefined || head.at < oldest.at ? head : oldest),
      undefined,
    );
}
