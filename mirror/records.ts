import type { H1 } from "../gomod/dirhash.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import type { ModuleVersion, Version } from "../gomod/version.ts";
import type { Sha256 } from "./body.ts";
import type { ErrorClass } from "./errors.ts";

/** Which files of a version: its `.mod`, or `.info`, `.mod` and `.zip`. */
export type Extent = "mod" | "whole";

/** The states of docs/architecture.md that this engine uses so far; the others come with collection. */
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
  | "CONFLICT";

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
}

/** An order is taken for lost, and its versions are due again, after this long: twice a unit of work's 300 s. */
export const ORDER_LOST_AFTER = 600_000;
/** FAILED becomes BROKEN after this many attempts … */
export const BROKEN_AFTER_ATTEMPTS = 8;
/** … once they span this long. */
export const BROKEN_AFTER = 48 * 3_600_000;
/** The first wait after a failed unit of work; it doubles with each attempt. */
export const FIRST_WAIT = 60_000;
/** No wait is longer: 30 days. */
export const LONGEST_WAIT = 30 * 86_400_000;
/** What has merely FAILED is tried at least this often, so that it heals, or becomes BROKEN, within days. */
export const LONGEST_FAILED_WAIT = 6 * 3_600_000;
/** What waits for a stopped checksum database is tried within the hour after an operator lifts the stop. */
const LONGEST_STOPPED_WAIT = 3_600_000;
/** An error's text in the ledger: its first 200 bytes. */
export const ERROR_BYTES = 200;

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
 * The window of a feed that cannot be complete while this record is as it is: it is being worked on, or is to be tried
 * again soon. What is held back by policy, or has failed for good as far as we can tell, does not count.
 */
export function openWindow(record: VersionRecord | undefined): FeedWindow | undefined {
  if (record?.feed === undefined || record.feedTime === undefined) return undefined;
  if (record.state !== "PENDING" && record.state !== "FAILED") return undefined;
  return { feed: record.feed, window: record.feedTime.slice(0, "2026-01-31T23".length) };
}

/** Whether `held` covers what is wanted. */
export function covers(held: Extent | "nothing", wanted: Extent): boolean {
  return held === "whole" || held === wanted;
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
  // What was taken out by hand comes back by hand.
  if (record.state === "PENDING" || record.state === "BLOCKED") return widened;
  if (record.state === "READY") {
    if (covers(record.held, wider)) return widened;
  } else {
    // Where a database proves every byte, asking again can only heal; without one, two sights differ and a person decides.
    if (record.state === "CONFLICT" && !provable) return widened;
    const waits = record.due === undefined || record.due > now;
    if (since !== undefined && record.wantedAt > since && waits) return widened;
  }
  return { ...widened, state: "PENDING", wantedAt: now, due: now + ORDER_LOST_AFTER };
}

/**
 * A record that is held, ordered again so that further databases prove it, such as one that was configured later.
 * @returns the same object where it is being worked on anyway.
 */
export function toBeProven(record: VersionRecord, now: number): VersionRecord {
  if (record.state !== "READY") return record;
  return { ...record, state: "PENDING", wantedAt: now, due: now + ORDER_LOST_AFTER };
}

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
  if (record.state === "BLOCKED") return fetchedOfBlocked(record, added, sumdbRecords);
  const { lastError: _error, failingSince: _since, due, rule, ...rest } = record;
  const done = covers(held, record.wanted);
  return {
    ...rest,
    ...(rule === undefined || (done && rule !== PINNED) ? {} : { rule }),
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

/**
 * The record after a unit of work failed for good or for now; `now` in ms since the epoch. Only a record that was being
 * worked on can fail: of several workers at once the first one's failure counts, so that one outage is one attempt.
 * @returns the same object where nothing changes.
 */
export function failed(
  record: VersionRecord,
  error: { readonly class: ErrorClass; readonly message: string; readonly retryAfter?: number | undefined },
  now: number,
): VersionRecord {
  if (record.state !== "PENDING") return record;
  if (owesOnlyFurtherProof(record) && error.class !== "mismatch" && error.class !== "stopped")
    return settledAsHeld(record);
  const attempts = record.attempts + 1;
  const failingSince = record.failingSince ?? now;
  const state = stateAfter(error.class, attempts, now - failingSince);
  const longest =
    error.class === "stopped"
      ? LONGEST_STOPPED_WAIT
      : state === "FAILED"
        ? LONGEST_FAILED_WAIT
        : LONGEST_WAIT;
  const wait = Math.min(longest, Math.max(error.retryAfter ?? 0, FIRST_WAIT * 2 ** (attempts - 1)));
  const { due: _due, ...rest } = record;
  return {
    ...rest,
    state,
    attempts,
    failingSince,
    lastError: { class: error.class, message: firstBytes(error.message, ERROR_BYTES) },
    ...(state === "CONFLICT" ? {} : { due: now + wait }),
  };
}

/** All that is wanted is held and proven by a database; another one was asked besides. */
function owesOnlyFurtherProof({ held, wanted, sumdbRecords }: VersionRecord): boolean {
  return covers(held, wanted) && sumdbRecords !== undefined;
}

/** A further database that does not answer takes nothing from what is held: it is asked again by the next request. */
function settledAsHeld({
  due: _due,
  lastError: _error,
  failingSince: _since,
  ...rest
}: VersionRecord): VersionRecord {
  return { ...rest, state: "READY", attempts: 0 };
}

/**
 * The record when its wait is over or its order was lost, and it is ordered again: PENDING, and due again should this
 * order be lost too. @returns undefined where there is nothing to do.
 */
export function revived(record: VersionRecord, now: number): VersionRecord | undefined {
  if (record.due === undefined || record.state === "READY" || record.state === "CONFLICT") return undefined;
  return { ...record, state: "PENDING", due: now + ORDER_LOST_AFTER };
}

function stateAfter(errorClass: ErrorClass, attempts: number, failingFor: number): State {
  switch (errorClass) {
    case "absent":
      return "GONE";
    case "withheld":
      return "WITHHELD";
    case "mismatch":
      return "CONFLICT";
    // Never given up: nothing is known to be wrong with this version.
    case "stopped":
      return "FAILED";
    default:
      return attempts >= BROKEN_AFTER_ATTEMPTS && failingFor >= BROKEN_AFTER ? "BROKEN" : "FAILED";
  }
}

/** The longest prefix of `text` that takes at most `limit` bytes of UTF-8, without cutting a character. */
export function firstBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= limit) return text;
  return bytes
    .subarray(0, limit)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
}
