import { TOOLCHAIN_MODULE } from "../../gomod/toolchain-version.ts";
import {
  covers,
  dependable,
  type Extent,
  ORDER_LOST_AFTER,
  type State,
  type VersionRecord,
} from "../records.ts";

/**
 * What a version's record goes through when it is collected: READY (or refused, or failing) → REMOVING, off its list, all
 * of its files still there → REMOVING and `deleting`, its files going → REMOVED, or READY with its `.mod` where that is
 * still needed. mirror/records.ts, `want`, has the way back.
 */

/** How much of a version is needed. */
export type Needed = Extent | "nothing";

/** States in which nobody is at work on a version and no person is to look at it. */
const COLLECTED: ReadonlySet<State> = new Set([
  "READY",
  "FAILED",
  "BROKEN",
  "WITHHELD",
  "GONE",
  "HELD",
  "DENIED",
] as const satisfies readonly State[]);

/** Whether a record has more than is needed, and may be collected for that. */
export function isSurplus(record: VersionRecord, needed: Needed): boolean {
  if (!COLLECTED.has(record.state) || needed === "whole") return false;
  if (needed === "nothing") return true;
  // What is not here at all is still to come.
  return record.held !== "nothing" && (record.held === "whole" || record.wanted === "whole");
}

/** The record once it is being collected: no list names it from now on, and no closure may be built on it. */
export function removing(record: VersionRecord, needed: Needed, now: number): VersionRecord {
  const { due: _due, failingSince: _since, removal: _removal, ...rest } = record;
  const keeps = needed === "mod" ? ({ keeps: "mod" } as const) : {};
  return { ...rest, state: "REMOVING", listed: false, attempts: 0, removal: { since: now, ...keeps } };
}

/**
 * The record from when on its files go: it holds what stays, and no way leads back but to fetch it again.
 * @returns undefined where it is not in that state, or somebody has had it back.
 */
export function deleting(record: VersionRecord, now: number): VersionRecord | undefined {
  if (record.state !== "REMOVING" || record.removal === undefined) return undefined;
  const { modH1, zipH1, modSha256, modSize, sumdbRecords, infoSha256, time, ...others } = record;
  const { zipSha256: _zip, zipSize: _size, ...rest } = others;
  const keepsMod = record.removal.keeps === "mod";
  const kept = keepsMod
    ? {
        ...(modSha256 === undefined ? {} : { modSha256 }),
        ...(modSize === undefined ? {} : { modSize }),
        ...(sumdbRecords === undefined ? {} : { sumdbRecords }),
        // Go asks one platform's `.info` for a toolchain of any: it stays with the `.mod` (mirror/fetch.ts).
        ...(!keepsInfo(record) || infoSha256 === undefined ? {} : { infoSha256 }),
        ...(!keepsInfo(record) || time === undefined ? {} : { time }),
      }
    : {};
  return {
    ...rest,
    // Where no database covers it, what comes later is compared with what was first seen.
    ...(modH1 === undefined ? {} : { modH1 }),
    ...(zipH1 === undefined ? {} : { zipH1 }),
    ...kept,
    held: keepsMod ? "mod" : "nothing",
    removal: { ...record.removal, deleting: now },
  };
}

/** Whether what keeps a version's `.mod` keeps its `.info`, too. */
export function keepsInfo({ path }: VersionRecord): boolean {
  return path === TOOLCHAIN_MODULE;
}

/** The record once its files are gone: REMOVED, what is kept of it, or PENDING where somebody has wanted it meanwhile. */
export function removed(record: VersionRecord, now: number): VersionRecord | undefined {
  const { removal, ...kept } = record;
  if (record.state !== "REMOVING" || removal?.deleting === undefined) return undefined;
  // A feed's root no more; some feed may hand it in again.
  const { feed: _feed, feedTime: _time, rule: _rule, lastError: _error, due: _due, ...rest } = kept;
  const wish = rest.wish.endsWith(" feed") ? rest.wish.slice(0, -" feed".length) : rest.wish;
  if (removal.wanted !== undefined && !covers(rest.held, removal.wanted))
    return { ...rest, wish, state: "PENDING", wanted: removal.wanted, wantedAt: now, due: now };
  if (removal.keeps === "mod") return { ...rest, wish, state: "READY", wanted: "mod" };
  return { ...rest, wish, state: "REMOVED", removedAt: now };
}

/** The record of what is being collected and turns out to be needed: as it was, but for its places in lists. */
export function keptAfterAll(record: VersionRecord, now: number): VersionRecord | undefined {
  if (record.state !== "REMOVING" || record.removal?.deleting !== undefined) return undefined;
  const { removal: _removal, ...rest } = record;
  return covers(record.held, record.wanted)
    ? { ...rest, state: "READY", wantedAt: now }
    : { ...rest, state: "PENDING", wantedAt: now, due: now + ORDER_LOST_AFTER };
}

/** Whether less is kept of a version that is being collected than is needed. */
export function isNeededAfterAll(record: VersionRecord, needed: Needed): boolean {
  if (record.state !== "REMOVING" || needed === "nothing") return false;
  return !covers(dependable(record), needed);
}
