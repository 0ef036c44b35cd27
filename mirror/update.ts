import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";
import { openWindow } from "./feed-work.ts";
import type { JournalEntry, RecordChange, WorkChange } from "./ledger-entries.ts";
import type { RequestKey } from "./orders.ts";
import type { Ledger } from "./ports.ts";
import type { FeedWindow, VersionRecord } from "./records.ts";
import type { RequestRecord } from "./requests.ts";

/** Two workers seldom meet at a record; more than this many lost races in a row are a fault of ours. */
export const MOST_RACES = 50;

/** What to store for what is stored now; the same object, or undefined, to leave it. */
export type Decide = (record: VersionRecord | undefined, version: ModuleVersion) => VersionRecord | undefined;

/**
 * Reads records, decides, and writes, anew for those where another writer was first.
 * @returns what is stored afterwards, in the order asked; undefined where there is no record.
 */
export async function updateRecords(
  ledger: Ledger,
  versions: readonly ModuleVersion[],
  decide: Decide,
  journal?: (record: VersionRecord, before: VersionRecord | undefined) => JournalEntry | undefined,
): Promise<(VersionRecord | undefined)[]> {
  const results = new Array<VersionRecord | undefined>(versions.length).fill(undefined);
  let open = versions.map((_, at) => at);
  for (let race = 0; open.length > 0; race++) {
    const asked = open.map((at) => versions[at]).filter((version) => version !== undefined);
    if (race === MOST_RACES) throw contended(formatModuleVersion(asked[0] as ModuleVersion));
    const current = await ledger.read(asked);
    const changes: RecordChange[] = [];
    const changing: number[] = [];
    open.forEach((at, i) => {
      const next = decide(current[i], asked[i] as ModuleVersion);
      results[at] = current[i];
      if (next === undefined || next === current[i]) return;
      changes.push(changeOf(current[i], next, journal?.(next, current[i])));
      changing.push(at);
    });
    const written = changes.length === 0 ? [] : await ledger.write(changes);
    open = [];
    written.forEach((result, i) => {
      const at = changing[i] as number;
      if (result === "changed") open.push(at);
      else results[at] = result;
    });
  }
  return results;
}

/** A record's change, with what it changes in its feeds' open work. */
export function changeOf(
  before: VersionRecord | undefined,
  record: VersionRecord,
  journal?: JournalEntry,
): RecordChange {
  const work = workChanges(openWindow(before), openWindow(record));
  const line = journal ?? revival(before, record);
  return {
    record,
    ...(line === undefined ? {} : { journal: line }),
    ...(work.length === 0 ? {} : { work }),
  };
}

/** What was being collected is kept after all, whoever wants it: snapshots have it again. */
function revival(before: VersionRecord | undefined, record: VersionRecord): JournalEntry | undefined {
  const isRevived = before?.state === "REMOVING" && record.removal === undefined && record.held !== "nothing";
  if (!isRevived) return undefined;
  return {
    event: "revived",
    version: { path: record.path, version: record.version },
    at: record.wantedAt,
  };
}

function workChanges(before: FeedWindow | undefined, after: FeedWindow | undefined): WorkChange[] {
  if (before?.feed === after?.feed && before?.window === after?.window) return [];
  return [
    ...(before === undefined ? [] : [{ ...before, change: -1 as const }]),
    ...(after === undefined ? [] : [{ ...after, change: 1 as const }]),
  ];
}

/** As updateRecords, for a request's item. */
export async function updateRequest(
  ledger: Ledger,
  key: RequestKey,
  decide: (record: RequestRecord | undefined) => RequestRecord | undefined,
): Promise<RequestRecord | undefined> {
  for (let race = 0; race < MOST_RACES; race++) {
    const current = await ledger.readRequest(key);
    const next = decide(current);
    if (next === undefined || next === current) return current;
    const written = await ledger.writeRequest(next);
    if (written !== "changed") return written;
  }
  throw contended(`request ${key.name}/${key.time}`);
}

export function contended(subject: string): MirrorError {
  return new MirrorError(
    "transient",
    subject,
    `${subject}: its ledger item changed ${MOST_RACES} times in a row; try again`,
  );
}
