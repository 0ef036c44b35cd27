import type { ErrorClass } from "./errors.ts";
import { firstBytes } from "./first-bytes.ts";
import { covers, ORDER_LOST_AFTER, type State, type VersionRecord } from "./records.ts";

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
/** What is merely BROKEN for a fault that may heal is tried once a day. */
export const LONGEST_TRANSIENT_WAIT = 86_400_000;
/** What waits for a stopped checksum database is tried within the hour after an operator lifts the stop. */
const LONGEST_STOPPED_WAIT = 3_600_000;
/** What has waited so long for its host alone is BROKEN too, so that a feed does not wait for a host that is gone. */
export const HOST_BROKEN_AFTER = 30 * 86_400_000;
/** An error's text in the ledger: its first 200 bytes. */
export const ERROR_BYTES = 200;

/** What went wrong, as MirrorError has it; `ofHost` says that it speaks against no version. */
export interface Failure {
  readonly class: ErrorClass;
  readonly message: string;
  readonly retryAfter?: number | undefined;
  readonly ofHost?: boolean;
}

/**
 * The record after a unit of work failed for good or for now; `now` in ms since the epoch. Only a record that was being
 * worked on can fail: of several workers at once the first one's failure counts, so that one outage is one attempt. What
 * is its host's fault, or was not even asked for since something is stopped, is no attempt: it waits as long as the
 * outage has lasted already, and is revived when the host answers again (upstream-recovery.ts).
 * @returns the same object where nothing changes.
 */
export function failed(record: VersionRecord, error: Failure, now: number): VersionRecord {
  if (record.state !== "PENDING") return record;
  if (owesOnlyFurtherProof(record) && error.class !== "mismatch" && error.class !== "stopped")
    return settledAsHeld(record);
  const counts = error.class !== "stopped" && error.ofHost !== true;
  const attempts = record.attempts + (counts ? 1 : 0);
  // From its own first failure on: what came before was an outage.
  const failingSince = (counts && record.attempts === 0 ? undefined : record.failingSince) ?? now;
  const failingFor = now - failingSince;
  const state = counts
    ? stateAfter(error.class, attempts, failingFor)
    : stateInOutage(error.class, failingFor);
  const own = counts ? FIRST_WAIT * 2 ** (attempts - 1) : Math.max(FIRST_WAIT, failingFor);
  const wait = Math.min(longestWait(state, error.class), Math.max(error.retryAfter ?? 0, own));
  const { due: _due, ...rest } = record;
  return {
    ...rest,
    state,
    attempts,
    failingSince,
    lastError: { class: error.class, message: firstBytes(error.message, ERROR_BYTES) },
    ...(state === "CONFLICT" ? {} : { due: now + Math.ceil(wait) }),
  };
}

function stateInOutage(errorClass: ErrorClass, failingFor: number): State {
  return errorClass !== "stopped" && failingFor >= HOST_BROKEN_AFTER ? "BROKEN" : "FAILED";
}

function longestWait(state: State, errorClass: ErrorClass): number {
  if (errorClass === "stopped") return LONGEST_STOPPED_WAIT;
  if (state === "FAILED") return LONGEST_FAILED_WAIT;
  return state === "BROKEN" && errorClass === "transient" ? LONGEST_TRANSIENT_WAIT : LONGEST_WAIT;
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

/** What is done, is for a person, or is being collected is not ordered, whatever its time says. */
const REVIVED: ReadonlySet<State> = new Set([
  "PENDING",
  "FAILED",
  "BROKEN",
  "WITHHELD",
  "GONE",
  "HELD",
  "DENIED",
  "BLOCKED",
] as const satisfies readonly State[]);

/**
 * The record when its wait is over or its order was lost, and it is ordered again: PENDING, and due again should this
 * order be lost too. @returns undefined where there is nothing to do.
 */
export function revived(record: VersionRecord, now: number): VersionRecord | undefined {
  if (record.due === undefined || !REVIVED.has(record.state)) return undefined;
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
