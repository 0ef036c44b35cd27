import { ruleOfDone } from "./pin-claim.ts";
import { covers, ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";

/** What one fetch added to a record. */
export type Fetched = Pick<VersionRecord, "held"> &
  Partial<
    Pick<
      VersionRecord,
      | "modH1"
      | "zipH1"
      | "modSha256"
      | "zipSha256"
      | "infoSha256"
      | "modSize"
      | "zipSize"
      | "time"
      | "sumdbRecords"
    >
  >;

/**
 * The record once its files are stored: READY where that covers what is wanted, else still PENDING. Two workers may
 * have fetched at once, one of them less: what is held never shrinks.
 * @returns the same object where nothing changes.
 */
export function fetched(record: VersionRecord, added: Fetched, now: number): VersionRecord {
  const held = covers(record.held, added.held === "nothing" ? "mod" : added.held) ? record.held : added.held;
  const sumdbRecords = { ...record.sumdbRecords, ...added.sumdbRecords };
  const proven = Object.keys(sumdbRecords).length;
  const more = proven > Object.keys(record.sumdbRecords ?? {}).length;
  if (record.state === "READY" && held === record.held && !more) return record;
  // What two sights of an unproven version differ in is for a person to decide.
  if (record.state === "CONFLICT" && proven === 0) return record;
  // Its files are going: what was stored just now may go with them.
  if (record.state === "REMOVING" || record.state === "REMOVED") return record;
  if (record.state === "BLOCKED") return fetchedOfBlocked(record, added, sumdbRecords);
  const { lastError: _error, failingSince: _since, due, rule: before, ...rest } = record;
  const done = covers(held, record.wanted);
  const rule = done ? ruleOfDone(record, added.zipH1 ?? record.zipH1) : before;
  return {
    ...rest,
    ...(rule === undefined ? {} : { rule }),
    ...added,
    ...(proven === 0 ? {} : { sumdbRecords }),
    held,
    state: done ? "READY" : "PENDING",
    attempts: 0,
    ...(done ? {} : { due: due ?? now + ORDER_LOST_AFTER }),
  };
}

/** It was blocked meanwhile: its `.mod` and `.info` are served, and whoever fetched its zip takes that out again. */
function fetchedOfBlocked(
  record: VersionRecord,
  { held, ...added }: Fetched,
  sumdbRecords: Readonly<Record<string, number>>,
): VersionRecord {
  if (record.held !== "nothing" || held === "nothing") return record;
  const proven = Object.keys(sumdbRecords).length === 0 ? {} : { sumdbRecords };
  return { ...record, ...added, ...proven, held: "mod" };
}
