import pLimit from "p-limit";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { decide, type Seen } from "./decision.ts";
import { asMirrorError, type ErrorClass, type MirrorError } from "./errors.ts";
import { keepEvidence } from "./evidence.ts";
import { failed } from "./failed-record.ts";
import { fetchVersion } from "./fetch.ts";
import { type Fetched, fetched } from "./fetched-record.ts";
import type { MirrorParts } from "./parts.ts";
import type { VersionRecord } from "./records.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { type Damaged, inspectFiles, storedOf, withoutDamage } from "./stored-files.ts";
import type { TreeKey } from "./tree-keys.ts";
import { updateRecords } from "./update.ts";

/** Versions that are asked for at a time: each may hold a zip of SPOOL_LIMIT in memory. */
const VERSIONS_AT_ONCE = 4;

/** What became of a version of which upstream was asked again. */
export type Refreshed = { readonly version: ModuleVersion } & (
  | ({ readonly outcome: "unchanged" } & OtherTime)
  /** These were missing or damaged, and are as they are proven to be again. */
  | ({ readonly outcome: "restored"; readonly files: readonly TreeKey[] } & OtherTime)
  /** Upstream has other bytes than we: ours stay, and are served where a database has proven them. */
  | { readonly outcome: "differs"; readonly message: string }
  /** It was not asked for. */
  | { readonly outcome: "left"; readonly message: string }
  /** It could not be had; ours is as it was. */
  | { readonly outcome: "failed"; readonly class: ErrorClass; readonly message: string }
);

interface OtherTime {
  /** Upstream's `.info` has another Time now, with the same files: ours stays as it is. Both verbatim. */
  readonly time?: { readonly upstream: string; readonly ours: string };
}

type RefreshParts = Pick<
  MirrorParts,
  "tree" | "vault" | "ledger" | "upstream" | "zips" | "databasesFor" | "now"
>;

/**
 * Asks upstream and the databases again for all that is held of these versions, an operator's `refetch` of the decision
 * table: proves it anew, compares, and brings back what the tree has lost. @returns one for each, in their order.
 */
export async function refreshVersions(
  parts: RefreshParts,
  versions: readonly ModuleVersion[],
): Promise<readonly Refreshed[]> {
  const records = await parts.ledger.read(versions);
  const limit = pLimit(VERSIONS_AT_ONCE);
  return await Promise.all(
    versions.map((version, at) => limit(async () => await refresh(parts, version, records[at]))),
  );
}

async function refresh(
  parts: RefreshParts,
  version: ModuleVersion,
  record: VersionRecord | undefined,
): Promise<Refreshed> {
  const reason = refusal(parts, record);
  if (record === undefined || reason !== undefined)
    return { version, outcome: "left", message: `${formatModuleVersion(version)}: ${reason}` };
  try {
    const { missing, damaged } = await inspectFiles(parts.tree, { ...record, held: storedOf(record) });
    for (const file of damaged) await keepEvidence(parts.vault, file.problem);
    const { added, seen } = await fetchAnew(parts, record, damaged);
    const refresh = (current: VersionRecord | undefined) => current && refreshed(current, added, parts);
    await updateRecords(parts.ledger, [version], refresh, changedEntry(parts.now));
    const files = [...missing, ...damaged.map(({ key }) => key)];
    const time = otherTime(parts, record, added, seen);
    return files.length === 0
      ? { version, outcome: "unchanged", ...time }
      : { version, outcome: "restored", files, ...time };
  } catch (thrown) {
    const error = asMirrorError(thrown, formatModuleVersion(version));
    await keepEvidence(parts.vault, error);
    if (error.class !== "mismatch")
      return { version, outcome: "failed", class: error.class, message: error.message };
    await noteDisagreement(parts, version, error);
    return { version, outcome: "differs", message: error.message };
  }
}

/** Why a version is not asked for; undefined where it is. */
function refusal(parts: RefreshParts, record: VersionRecord | undefined): string | undefined {
  if (record === undefined || storedOf(record) === "nothing") return "is not held; sync it without --refresh";
  const provable = parts.databasesFor(record.path).length > 0;
  const seen = { wanted: record.wanted, by: "request", provable, now: parts.now(), forced: true } as const;
  const { action, reason } = decide(record, seen);
  return action === "refetch" ? undefined : `is ${record.state}: ${reason}`;
}

/** The decision table's `time differs`, of what was compared just now; nothing where the new `.info` is the one stored. */
function otherTime(
  parts: RefreshParts,
  record: VersionRecord,
  added: Fetched,
  seen: Pick<Seen, "time" | "hashes">,
): OtherTime {
  const { time: upstream } = seen;
  const { time: ours } = record;
  if (typeof upstream !== "string" || ours === undefined || added.time === upstream) return {};
  const provable = parts.databasesFor(record.path).length > 0;
  const held = { ...record, state: "READY" } as const;
  const { reason } = decide(held, {
    ...seen,
    wanted: record.held === "whole" ? "whole" : "mod",
    by: "request",
    provable,
    now: parts.now(),
  });
  return reason === "time differs" ? { time: { upstream, ours } } : {};
}

/**
 * As for a version of which nothing is held, so that every database proves it and every file is compared: what is there
 * and right stays (fetchVersion); what is damaged goes right before it is stored again, proven by then. A crash in
 * between leaves the file missing: asking once more brings it back.
 */
async function fetchAnew(
  parts: RefreshParts,
  record: VersionRecord,
  damaged: readonly Damaged[],
): Promise<{ added: Fetched; seen: Pick<Seen, "time" | "hashes"> }> {
  const { sumdbRecords: _proven, ...rest } = record;
  const wanted = storedOf(record) === "whole" ? "whole" : "mod";
  const asNew: VersionRecord = { ...rest, held: "nothing", wanted };
  return await fetchVersion({ ...parts, tree: withoutDamage(parts.tree, damaged) }, asNew);
}

/** @returns the same object where nothing has changed, so that nothing is written. */
function refreshed(record: VersionRecord, added: Fetched, { now }: Pick<RefreshParts, "now">): VersionRecord {
  // It was in CONFLICT over what has been mended now.
  if (record.state === "CONFLICT") return fetched({ ...record, state: "PENDING" }, added, now());
  const { held: _held, sumdbRecords, ...fields } = added;
  const proven = { ...record.sumdbRecords, ...sumdbRecords };
  const next = {
    ...record,
    ...fields,
    ...(Object.keys(proven).length === 0 ? {} : { sumdbRecords: proven }),
  };
  const isSame = Object.entries(fields).every(
    ([field, value]) => record[field as keyof typeof fields] === value,
  );
  const isProven = Object.keys(proven).length === Object.keys(record.sumdbRecords ?? {}).length;
  return isSame && isProven ? record : next;
}

/**
 * Where a database covers the path, it has proven ours: upstream is wrong, and nothing changes. Without one, two sights
 * differ, and a person decides.
 */
async function noteDisagreement(
  parts: RefreshParts,
  version: ModuleVersion,
  error: MirrorError,
): Promise<void> {
  if (parts.databasesFor(version.path).length > 0) return;
  const fail = (current: VersionRecord | undefined) =>
    current?.state === "READY" ? failed({ ...current, state: "PENDING" }, error, parts.now()) : undefined;
  await updateRecords(parts.ledger, [version], fail, changedEntry(parts.now));
}
