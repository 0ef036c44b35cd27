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
/** What waits for a stopped checksum database is tried within the hour after an operator lifts the stop. */
const LONGEST_STOPPED_WAIT = 3_600_000;
/** An error's text in the ledger: its first 200 bytes. */
export const ERROR_BYTES = 200;

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
