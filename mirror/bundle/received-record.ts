import { formatModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../errors.ts";
import { covers, type VersionRecord } from "../records.ts";
import type { SnapshotEntry } from "../snapshot/snapshot-entry.ts";

/** What wished a version that a bundle brought. */
export const BUNDLE_WISH = "bundle";

/**
 * The record of a version whose files have come by a bundle, proven and stored: READY where that covers what was wanted
 * here before.
 * @returns the same object where nothing changes.
 */
export function received(
  record: VersionRecord | undefined,
  entry: SnapshotEntry,
  now: number,
): VersionRecord {
  const {
    path,
    version,
    held,
    modH1,
    modSha256,
    modSize,
    zipH1,
    zipSha256,
    zipSize,
    infoSha256,
    time,
    sumdb,
  } = entry;
  if (record !== undefined && isReceived(record, entry)) return record;
  const files = {
    modH1,
    modSha256,
    modSize,
    ...(zipH1 === undefined ? {} : { zipH1 }),
    ...(zipSha256 === undefined ? {} : { zipSha256 }),
    ...(zipSize === undefined ? {} : { zipSize }),
    ...(infoSha256 === undefined ? {} : { infoSha256 }),
    ...(time === undefined ? {} : { time }),
  };
  if (record === undefined) {
    return {
      path,
      version,
      revision: 0,
      state: "READY",
      wanted: held,
      held,
      wantedAt: now,
      firstSeen: now,
      wish: BUNDLE_WISH,
      listed: false,
      ...files,
      ...(sumdb === undefined ? {} : { sumdbRecords: sumdb }),
      attempts: 0,
    };
  }
  const {
    lastError: _error,
    failingSince: _since,
    due: _due,
    rule: _rule,
    removal: _removal,
    ...rest
  } = record;
  const isCovered = covers(record.held, held);
  const holds = isCovered ? record.held : held;
  const wanted = record.wanted === "whole" ? "whole" : held;
  const done = covers(holds, wanted);
  return {
    ...rest,
    ...(isCovered ? {} : files),
    ...(sumdb === undefined && record.sumdbRecords === undefined
      ? {}
      : { sumdbRecords: { ...sumdb, ...record.sumdbRecords } }),
    held: holds,
    wanted,
    state: done ? "READY" : "PENDING",
    attempts: 0,
    ...(done ? {} : { due: now }),
  };
}

/** Whether the ledger says already all that the entry does. */
function isReceived(record: VersionRecord, { held, sumdb }: SnapshotEntry): boolean {
  if (record.state !== "READY" || !covers(record.held, held)) return false;
  return Object.keys(sumdb ?? {}).every((database) => record.sumdbRecords?.[database] !== undefined);
}

/** @throws MirrorError mismatch where this mirror holds the version with other content. */
export function requireSame(record: VersionRecord | undefined, entry: SnapshotEntry): void {
  if (record === undefined || record.held === "nothing") return;
  for (const [file, ours, theirs] of [
    ["go.mod", record.modH1, entry.modH1],
    ["zip", record.held === "whole" ? record.zipH1 : undefined, entry.zipH1],
  ] as const) {
    if (ours === undefined || theirs === undefined || ours === theirs) continue;
    const subject = formatModuleVersion(entry);
    const message = `${subject}: its ${file} is ${theirs} in the bundle, and ${ours} here; nothing of the bundle was taken over`;
    throw new MirrorError("mismatch", subject, message);
  }
}
