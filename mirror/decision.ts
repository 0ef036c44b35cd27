import type { H1 } from "../gomod/dirhash.ts";
import { covers, type Extent, isFirstSight, type VersionRecord } from "./records.ts";

/** What somebody says of a version, and what they want of it. */
export interface Seen {
  readonly wanted: Extent;
  /** A feed leaves what has failed to its own wait; a request asks again at once. */
  readonly by: "feed" | "request";
  /** Whether a checksum database covers the path: then every byte that is held is proven. */
  readonly provable: boolean;
  readonly now: number;
  /** When a request was handed in: what has failed since then keeps its own wait. */
  readonly since?: number;
  /** Wanted as a root: to be listed as soon as its own closure is held. */
  readonly asRoot?: boolean;
  /** What was found wrong with the objects in the tree. */
  readonly tree?: "missing" | "differs";
  /** `.info`'s Time as upstream says it now; null where upstream says that there is none; absent where nobody asked. */
  readonly time?: string | null;
  /** Hashes of the files as upstream has them now, as far as they are known. */
  readonly hashes?: { readonly mod?: H1; readonly zip?: H1 };
  /** An operator asks for all files again. */
  readonly forced?: boolean;
}

/**
 * `fetch`: get what is wanted and not held. `refetch`: get all that is wanted again, which stores nothing that is there
 * and compares: what differs is a CONFLICT, never served. `root`: nothing is to be fetched for itself, but its closure is
 * to be known, so that it can be listed. `none`: leave it.
 */
export interface Decision {
  readonly action: "fetch" | "refetch" | "root" | "none";
  readonly reason: Reason;
}

export type Reason =
  | "unknown"
  | "no root yet"
  | "kept out"
  | "conflict"
  | "forced"
  | "missing in the tree"
  | "differs in the tree"
  | "wanted wider"
  | "under way"
  | "waits"
  | "asked again"
  | "hashes differ"
  | "time differs"
  | "no time"
  | "held";

/** The wish of a feed's roots: no request's name has a space, so no graph's record has it by chance. */
export function feedWish(feed: string): string {
  return `${feed} feed`;
}

/** Whether it is listed, or will be as soon as its closure is held: some feed has handed it in. */
export function isRoot(record: VersionRecord): boolean {
  if (record.state === "REMOVING" || record.state === "REMOVED") return false;
  return record.wanted === "whole" && (record.listed || record.wish.endsWith(" feed"));
}

/**
 * What to do with a version that somebody names. The first row that fits decides:
 *
 * | the ledger has                         | seen                                         | action  | reason              |
 * | -------------------------------------- | -------------------------------------------- | ------- | ------------------- |
 * | nothing                                |                                              | fetch   | unknown             |
 * | a part of some graph                   | wanted as a root                             | root    | no root yet         |
 * | BLOCKED; DENIED or HELD                | in any way; by a feed                        | none    | kept out            |
 * | CONFLICT, no database covers it or has ever proven it |                               | none    | conflict            |
 * | REMOVING, REMOVED                      |                                              | fetch   | asked again         |
 * | any other                              | forced                                       | refetch | forced              |
 * | something held                         | an object differs from what was stored       | refetch | differs in the tree |
 * | something held                         | an object is missing                         | fetch   | missing in the tree |
 * | PENDING or READY, for less             | wanted wider than held, and than recorded    | fetch   | wanted wider        |
 * | PENDING                                |                                              | none    | under way           |
 * | READY, held less than wanted           |                                              | fetch   | wanted wider        |
 * | FAILED, BROKEN, WITHHELD, GONE, CONFLICT | by a feed; or failed since the request came | none    | waits               |
 * | the same, DENIED or HELD               | by a request: policy then decides anew       | fetch   | asked again         |
 * | READY                                  | other hashes, and no database covers it      | refetch | hashes differ       |
 * | READY                                  | other hashes, a database covers it           | none    | hashes differ       |
 * | READY                                  | another Time, equal hashes or a database     | none    | time differs        |
 * | READY                                  | another Time                                 | refetch | time differs        |
 * | READY                                  | no Time, and neither hashes nor a database   | refetch | no time             |
 * | READY                                  |                                              | none    | held                |
 *
 * Where a database covers the path, what is held is proven: upstream may say what it likes of Time and hashes.
 */
export function decide(record: VersionRecord | undefined, seen: Seen): Decision {
  if (record === undefined) return { action: "fetch", reason: "unknown" };
  if (seen.asRoot === true && !isRoot(record)) return { action: "root", reason: "no root yet" };
  const { state } = record;
  const keptOut = state === "DENIED" || state === "HELD";
  if (state === "BLOCKED" || (keptOut && seen.by === "feed")) return none("kept out");
  if (state === "CONFLICT" && (!seen.provable || isFirstSight(record))) return none("conflict");
  if (state === "REMOVING" || state === "REMOVED") return { action: "fetch", reason: "asked again" };
  if (seen.forced === true) return { action: "refetch", reason: "forced" };
  if (record.held !== "nothing" && seen.tree === "differs")
    return { action: "refetch", reason: "differs in the tree" };
  if (record.held !== "nothing" && seen.tree === "missing")
    return { action: "fetch", reason: "missing in the tree" };
  if (state === "PENDING" || state === "READY") {
    if (!covers(record.held, seen.wanted) && !covers(record.wanted, seen.wanted))
      return { action: "fetch", reason: "wanted wider" };
    if (state === "PENDING") return none("under way");
    if (!covers(record.held, record.wanted)) return { action: "fetch", reason: "wanted wider" };
    return compared(record, seen);
  }
  return waits(record, seen) ? none("waits") : { action: "fetch", reason: "asked again" };
}

function waits(record: VersionRecord, { by, since, now }: Seen): boolean {
  if (by === "feed") return true;
  if (since === undefined || record.wantedAt <= since) return false;
  return record.due === undefined || record.due > now;
}

/** What is held and covers what is wanted, against what upstream says of it now. */
function compared(record: VersionRecord, { provable, time, hashes = {} }: Seen): Decision {
  const mod = comparison(record.modH1, hashes.mod);
  const zip = comparison(record.zipH1, hashes.zip);
  const act = provable ? "none" : "refetch";
  if (mod === "other" || zip === "other") return { action: act, reason: "hashes differ" };
  // The zip's hash covers the go.mod in it; a `.mod` alone is compared by its own.
  const equal = record.held === "whole" ? zip === "same" : mod === "same";
  const left = equal ? "none" : act;
  if (typeof time === "string" && record.time !== undefined && !isSameTime(time, record.time))
    return { action: left, reason: "time differs" };
  if (time === null) return left === "none" ? none("held") : { action: left, reason: "no time" };
  return none("held");
}

function comparison(held: H1 | undefined, seen: H1 | undefined): "same" | "other" | "unknown" {
  if (held === undefined || seen === undefined) return "unknown";
  return held === seen ? "same" : "other";
}

/** Verbatim, or the same moment: registries print one commit's time in several zones. */
function isSameTime(a: string, b: string): boolean {
  return a === b || Date.parse(a) === Date.parse(b);
}

function none(reason: Reason): Decision {
  return { action: "none", reason };
}
