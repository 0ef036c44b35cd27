import type { H1 } from "../gomod/dirhash.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import type { ModuleVersion, Version } from "../gomod/version.ts";
import type { Sha256 } from "./body.ts";
import type { ErrorClass } from "./errors.ts";

/** Which files of a version: its `.mod`, or `.info`, `.mod` and `.zip`. */
export type Extent = "mod" | "whole";

/** The states of docs/architecture.md. */
export type State =
  | "PENDING"
  | "READY"
  | "HELD"
  | "FAILED"
  | "BROKEN"
  | "WITHHELD"
  | "GONE"
  | "DENIED"
  | "BLOCKED"
  | "CONFLICT"
  | "REMOVING"
  | "REMOVED";

/**
 * What the ledger knows of one module version; an item stays below 1 KB. Times are milliseconds since the
 * epoch, but for `time`, which is upstream's own text.
 */
export interface VersionRecord {
  readonly path: ModulePath;
  readonly version: Version;
  /** Counts the writes of this record; 0 is a record that was never stored. Every write names the one it read. */
  readonly revision: number;
  readonly state: State;
  /** Only ever grows. */
  readonly wanted: Extent;
  readonly held: Extent | "nothing";
  readonly wantedAt: number;
  readonly firstSeen: number;
  /** One request that wanted it, as an example for people; a feed, once that has handed it in as a root. */
  readonly wish: string;
  /** The feed that made it a root, with that feed's stamp of it, verbatim. */
  readonly feed?: string;
  readonly feedTime?: string;
  /** That feed waits until it is listed, or until nobody is at work any more on what its closure lacks. */
  readonly awaited?: true;
  /** The rule of the policy, or the block, that keeps it out, or PINNED; at most RULE_BYTES. */
  readonly rule?: string;
  /** Whether `@v/list` and `@latest` may name it: it is whole and its own closure is READY. */
  readonly listed: boolean;
  readonly modH1?: H1;
  readonly zipH1?: H1;
  readonly modSha256?: Sha256;
  readonly zipSha256?: Sha256;
  readonly infoSha256?: Sha256;
  readonly modSize?: number;
  readonly zipSize?: number;
  /** `.info`'s Time, verbatim. */
  readonly time?: string;
  /** The ids of its records by the checksum databases that have proven it; absent where none has. */
  readonly sumdbRecords?: Readonly<Record<string, number>>;
  /** Failed attempts since the record last became READY. */
  readonly attempts: number;
  /** When the first of these attempts failed. */
  readonly failingSince?: number;
  readonly lastError?: { readonly class: ErrorClass; readonly message: string };
  /** When it is next worth a try; absent where there is nothing to do. The ledger's `due` index is over this. */
  readonly due?: number;
  /** Of REMOVING alone (mirror/garbage/removal.ts). */
  readonly removal?: Removal;
  /** Of REMOVED: since when. */
  readonly removedAt?: number;
}

/** How far the collection of a version has come. Times in ms since the epoch. */
export interface Removal {
  /** Since when no list names it; its files go only REMOVAL_WAIT later, and until then whoever wants it has it back. */
  readonly since: number;
  /** What of it is still needed and stays; absent: nothing. */
  readonly keeps?: "mod";
  /** Its files are going since then: from here there is no way back but to be fetched again. */
  readonly deleting?: number;
  /** Somebody has wanted this much of it since: it is fetched again as soon as its files are gone. */
  readonly wanted?: Extent;
}

/** An order is taken for lost, and its versions are due again, after this long: twice a unit of work's 300 s. */
export const ORDER_LOST_AFTER = 600_000;

/**
 * Between taking a version off its list and taking its files out, in ms: a unit of work lives 300 s at most, clocks may
 * disagree by minutes, and caches may show a list for 60 s (`Cache-Control` of mirror/served-headers.ts). So by then
 * nobody is at work any more who has read its record before, and no client still sees the list that named it.
 */
export const REMOVAL_WAIT = 900_000;

/** A rule's name in the ledger. */
export const RULE_BYTES = 80;
/** The rule of what a request's go.sum pins: it comes in although it is young. */
export const PINNED = "cooldown.exempt";

/** Where a feed's work lies: the feed, and the UTC hour of its stamp (`2026-01-31T23`). */
export interface FeedWindow {
  readonly feed: string;
  readonly window: string;
}

/**
 * Whether files were taken in that no checksum database has proven: its hashes are those first seen, so that no database
 * covered it then, as the mirror is configured.
 */
export function isFirstSight({ modH1, zipH1, sumdbRecords }: VersionRecord): boolean {
  return (modH1 !== undefined || zipH1 !== undefined) && sumdbRecords === undefined;
}

/** Whether `held` covers what is wanted. */
export function covers(held: Extent | "nothing", wanted: Extent): boolean {
  return held === "whole" || held === wanted;
}

/**
 * How much of a version may be built upon: what is in CONFLICT came before the proof that speaks against it, and what is
 * being collected may be gone soon.
 */
export function dependable({ state, held, removal }: VersionRecord): Extent | "nothing" {
  if (state === "CONFLICT" || state === "REMOVED") return "nothing";
  return state === "REMOVING" ? (removal?.keeps ?? "nothing") : held;
}

/**
 * The record after someone wants `wanted` of it: new, widened, or asked again at once where it had failed before they
 * asked.
 * @param provable whether a checksum database covers the path.
 * @param since when it was asked for: what has failed since then keeps its own wait, so that a request that is resolved
 * again and again does not ask upstream each time. Absent: whatever failed is asked again at once.
 * @returns the same object where nothing changes, so that nothing is written.
 */
export function want(
  record: VersionRecord | undefined,
  version: ModuleVersion,
  wanted: Extent,
  wish: string,
  now: number,
  provable: boolean,
  since?: number,
): VersionRecord {
  if (record === undefined) {
    return {
      path: version.path,
      version: version.version,
      revision: 0,
      state: "PENDING",
      wanted,
      held: "nothing",
      wantedAt: now,
      firstSeen: now,
      wish,
      listed: false,
      attempts: 0,
      due: now + ORDER_LOST_AFTER,
    };
  }
  const wider = record.wanted === "whole" ? "whole" : wanted;
  const widened = wider === record.wanted ? record : { ...record, wanted: wider };
  if (record.state === "REMOVING") return wantedWhileRemoving(record, wanted, now);
  // Its hashes stay: where no database covers it, what comes now is compared with what was first seen.
  if (record.state === "REMOVED") {
    const { removedAt: _removed, ...rest } = record;
    return { ...rest, state: "PENDING", wanted, wish, wantedAt: now, due: now + ORDER_LOST_AFTER };
  }
  // What was taken out by hand comes back by hand.
  if (record.state === "PENDING" || record.state === "BLOCKED") return widened;
  if (record.state === "READY") {
    if (covers(record.held, wider)) return widened;
  } else {
    // Where a database proves every byte, asking again can only heal; without one, two sights differ and a person decides.
    // One of first sight too: who asks may not know that none covers it here. `modferry retry --config` goes by the configuration.
    if (record.state === "CONFLICT" && (!provable || isFirstSight(record))) return widened;
    const waits = record.due === undefined || record.due > now;
    if (since !== undefined && record.wantedAt > since && waits) return widened;
  }
  return { ...widened, state: "PENDING", wantedAt: now, due: now + ORDER_LOST_AFTER };
}

/** As long as its files are all there it is as it was; while they are going, it is noted to be fetched again. */
function wantedWhileRemoving(record: VersionRecord, wanted: Extent, now: number): VersionRecord {
  const { removal, ...rest } = record;
  if (removal?.keeps === "mod" && wanted === "mod") return record;
  const wider = record.wanted === "whole" ? "whole" : wanted;
  if (removal?.deleting === undefined) {
    const kept = { ...rest, wanted: wider, wantedAt: now };
    return covers(record.held, wider)
      ? { ...kept, state: "READY" }
      : { ...kept, state: "PENDING", due: now + ORDER_LOST_AFTER };
  }
  if (removal.wanted === "whole" || removal.wanted === wanted) return record;
  return { ...record, wantedAt: now, removal: { ...removal, wanted }, due: removal.deleting + REMOVAL_WAIT };
}

/**
 * A record that is held, ordered again so that further databases prove it, such as one that was configured later.
 * @returns the same object where it is being worked on anyway.
 */
export function toBeProven(record: VersionRecord, now: number): VersionRecord {
  if (record.state !== "READY") return record;
  return { ...record, state: "PENDING", wantedAt: now, due: now + ORDER_LOST_AFTER };
}
