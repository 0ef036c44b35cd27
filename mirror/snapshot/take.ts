import { readBlocks } from "../blocks.ts";
import { MirrorError } from "../errors.ts";
import type { Clock, Ledger } from "../ports.ts";
import { SortedLines } from "../scrub/sorted-lines.ts";
import { underLease } from "../tick-lease.ts";
import { type CatalogParts, newestSnapshot } from "./catalog.ts";
import { ChangedVersions } from "./changed-versions.ts";
import { linesInAnyOrder, linesOfRecords, mergedLines, OutOfOrder } from "./merged-lines.ts";
import { openSnapshot } from "./open-snapshot.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SnapshotHeader } from "./snapshot-header.ts";
import { type SnapshotName, timeOfSnapshot } from "./snapshot-name.ts";
import { batched, SpooledRuns } from "./spooled-runs.ts";
import { archiveVulndb } from "./vulndb-archive.ts";
import {
  announce,
  type PreparedSnapshot,
  prepareSnapshot,
  type SnapshotSetting,
  type WriteParts,
} from "./write-snapshot.ts";

export interface TakeParts extends WriteParts, CatalogParts {
  readonly vault: WriteParts["vault"];
  readonly ledger: Ledger;
  readonly now: Clock;
}

export interface TakeOptions {
  /** Names this process in leases. */
  readonly owner: string;
  /** How far back the closed moment lies, in ms: as far as two writers' clocks may differ; 0 where there is one clock. */
  readonly closedAfter?: number;
  /** Reads every record, whatever the previous one and the journal say: after the ledger was rebuilt, for one. */
  readonly full?: boolean;
}

export type Taken =
  | { readonly outcome: "taken"; readonly header: SnapshotHeader }
  /** `name` is the one that still says all; absent where nothing is held at all. */
  | { readonly outcome: "unchanged"; readonly name?: SnapshotName }
  /** Another one is being taken. */
  | { readonly outcome: "busy" };

/** Clocks of functions differ by less (design: a closed moment, two minutes back). */
export const CLOSED_AFTER = 120_000;
/**
 * The journal is read from this long before the previous one's moment on: a line's `at` is taken before it is written,
 * and a unit of work that hangs in between ends within 300 s. Reading a version again changes nothing.
 */
export const OVERLAP = 600_000;
/** The journal is read to this far ahead of our clock: some writer's may be. */
const AHEAD = 3_600_000;
/** A previous one that is older is not built upon: each hour of the journal costs four queries in DynamoDB. */
const LONGEST_JOURNAL = 60 * 86_400_000;
const LEASE = "snapshot";

/**
 * Takes a snapshot: the previous one merged with what the journal names since, each version read again from the ledger;
 * or all records, sorted, where there is none to build upon. Made outside of the vault, then stored, then announced: a
 * crash anywhere leaves nothing announced, and the next one begins anew. Of several at once one works.
 */
export async function takeSnapshot(parts: TakeParts, options: TakeOptions): Promise<Taken> {
  const work = async (keep: () => Promise<boolean>): Promise<Taken> => {
    const newest = await newestSnapshot(parts);
    const turn = { ...options, newest, keep };
    const previous = newest && (await openSnapshot(parts.vault, newest).catch(ignoreDamage));
    try {
      if (previous === undefined || options.full === true || !isNear(previous.header, parts.now()))
        return await fromRecords(parts, turn, previous);
      return await fromPrevious(parts, turn, previous).catch(async (error) => {
        ignoreDamage(error);
        return await fromRecords(parts, turn, previous);
      });
    } finally {
      await previous?.close();
    }
  };
  return (await underLease(parts, LEASE, options.owner, work)) ?? { outcome: "busy" };
}

/** One run, under the lease. */
interface Turn extends TakeOptions {
  /** The newest snapshot when it began. */
  readonly newest: SnapshotName | undefined;
  /** Renews the lease; false when another one has it. */
  keep(): Promise<boolean>;
}

/** What is damaged is not built upon: then all records are read. */
function ignoreDamage(error: unknown): undefined {
  if (error instanceof MirrorError && error.class === "malformed") return undefined;
  throw error;
}

/** Its moment is not so long ago that the journal since would be too much, nor ahead, by a clock that was wrong. */
function isNear({ until }: SnapshotHeader, now: number): boolean {
  return until > now - LONGEST_JOURNAL && until <= now + OVERLAP / 2;
}

async function fromPrevious(parts: TakeParts, turn: Turn, previous: Snapshot): Promise<Taken> {
  const { header } = previous;
  const changes = new ChangedVersions(parts.ledger, parts.spool);
  try {
    const started = parts.now();
    const lines = await changes.readJournal(
      Math.min(header.until, started) - OVERLAP,
      started + AHEAD,
      closedAt(started, turn),
    );
    const setting = await settingOf(parts, turn, header, started);
    if (lines === 0 && (await isSameBeside(parts, header, setting)))
      return { outcome: "unchanged", name: header.name };
    const prepared = await prepareSnapshot(
      parts,
      kept(mergedLines(previous.lines(), changes), turn),
      setting,
    );
    return await finish(parts, prepared, header, turn);
  } finally {
    await changes.dispose();
  }
}

/**
 * Records may change while they are read: what the journal names since the reading began is read once more after it.
 * What was listed when it was read stays so, since all that it needs was held before, and is among the records or the
 * changes.
 */
async function fromRecords(parts: TakeParts, turn: Turn, previous: Snapshot | undefined): Promise<Taken> {
  const started = parts.now();
  const changes = new ChangedVersions(parts.ledger, parts.spool);
  const runs = new SpooledRuns(parts.spool);
  try {
    const sorted = await sortedEntries(parts, runs, turn);
    await changes.readJournal(started - OVERLAP, parts.now() + AHEAD, closedAt(started, turn));
    const setting = await settingOf(parts, turn, previous?.header, started);
    const prepared = await prepareSnapshot(parts, kept(mergedLines(sorted, changes), turn), setting);
    if (prepared.header.counts.versions === 0 && previous === undefined) {
      await prepared.dispose();
      return { outcome: "unchanged" };
    }
    return await finish(parts, prepared, previous?.header, turn);
  } finally {
    await changes.dispose();
    await runs.dispose();
  }
}

/** All records' entries, read to their end, in the order of a snapshot. */
async function sortedEntries(
  { ledger }: TakeParts,
  runs: SpooledRuns,
  turn: Turn,
): Promise<AsyncIterable<readonly string[]>> {
  try {
    const stored = await runs.storeBatches(kept(linesOfRecords(ledger.records()), turn));
    return stored();
  } catch (error) {
    if (!(error instanceof OutOfOrder)) throw error;
  }
  const lines = new SortedLines(runs);
  for await (const batch of kept(linesInAnyOrder(ledger.records()), turn))
    for (const line of batch) await lines.add(line);
  return batched(lines.sorted());
}

/** Renews the lease as lines go by. @throws MirrorError transient when another one has it. */
async function* kept(
  batches: AsyncIterable<readonly string[]>,
  { keep }: Turn,
): AsyncGenerator<readonly string[]> {
  for await (const batch of batches) {
    if (!(await keep())) throw takenOver();
    yield batch;
  }
}

function takenOver(): MirrorError {
  return new MirrorError(
    "transient",
    "snapshot",
    "snapshot: took so long that another one has begun; try again",
  );
}

/** Lines of the journal count as before the closed moment up to this one. */
function closedAt(started: number, { closedAfter = CLOSED_AFTER }: TakeOptions): number {
  return started - closedAfter + 1;
}

/**
 * Names sort by their second, so each snapshot's is a later one than the one's before, should a clock have been set back
 * or two be taken within one.
 */
async function settingOf(
  parts: TakeParts,
  { closedAfter = CLOSED_AFTER, newest }: Turn,
  previous: SnapshotHeader | undefined,
  started: number,
): Promise<SnapshotSetting> {
  const second = Math.floor((started - closedAfter) / 1000) * 1000;
  const blocks = (await readBlocks(parts.ledger)).map(({ name, reason, by, at }) => ({
    name,
    reason,
    by,
    at,
  }));
  const vulndb = await archiveVulndb(parts, previous);
  return {
    until: newest === undefined ? second : Math.max(second, timeOfSnapshot(newest) + 1000),
    ...(previous === undefined ? {} : { previous: previous.name }),
    blocks,
    ...(vulndb === undefined ? {} : { vulndb }),
  };
}

/** Whether all but the entries is as it was; of tiles, those count that came with a head. */
async function isSameBeside(
  { ledger }: TakeParts,
  { heads, blocks, vulndb }: SnapshotHeader,
  setting: SnapshotSetting,
): Promise<boolean> {
  for (const [database, note] of Object.entries(heads)) {
    const head = await ledger.readHead(database);
    if (head !== undefined && new TextDecoder().decode(head.note) !== note) return false;
  }
  return JSON.stringify(blocks) === JSON.stringify(setting.blocks) && vulndb === setting.vulndb?.vulndb;
}

async function finish(
  parts: TakeParts,
  prepared: PreparedSnapshot,
  previous: SnapshotHeader | undefined,
  { keep, newest }: Turn,
): Promise<Taken> {
  try {
    if (previous?.hash === prepared.header.hash) return { outcome: "unchanged", name: previous.name };
    // Another one may have begun and ended while this one had lost its lease.
    const isNext = async () => (await keep()) && (await newestSnapshot(parts)) === newest;
    const header = await announce(parts.vault, prepared, isNext);
    if (header === undefined) throw takenOver();
    return { outcome: "taken", header };
  } finally {
    await prepared.dispose();
  }
}
