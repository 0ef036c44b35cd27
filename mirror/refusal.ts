import { ERROR_BYTES } from "./failed-record.ts";
import { type Fetched, fetched } from "./fetched-record.ts";
import { firstBytes } from "./first-bytes.ts";
import { claimOf } from "./pin-claim.ts";
import type { Decision } from "./policy.ts";
import { COOLDOWN } from "./policy-settings.ts";
import { RULE_BYTES, type VersionRecord } from "./records.ts";

/** Why a version's zip stays out: its age (until when), the policy, or a block. */
export interface Refusal {
  readonly state: "HELD" | "DENIED" | "BLOCKED";
  readonly rule: string;
  /** One line, for whoever asks for the zip. */
  readonly reason: string;
  /** For HELD: when it is decided anew, in ms since the epoch. */
  readonly until?: number;
}

/** What a policy's decision comes to. @returns undefined where the version may come in. */
export function refusalOf(decision: Decision): Refusal | undefined {
  switch (decision.kind) {
    case "allow":
      return undefined;
    case "hold":
      return { state: "HELD", rule: decision.rule, reason: decision.reason, until: decision.until };
    case "deny":
      return { state: "DENIED", rule: decision.rule, reason: decision.reason };
  }
}

/** The states in which a version's zip is not served, and no list names it, although upstream has it. */
export function isRefused({ state }: VersionRecord): boolean {
  return state === "HELD" || state === "DENIED" || state === "BLOCKED";
}

/**
 * The record of a version that stays out; what was fetched of it (`.mod`, `.info`, lookup) is noted with it. Only what
 * is being worked on, or was refused for another reason, is refused. What a request's go.sum came to claim after its age
 * was judged is judged again, with that claim.
 * @param judged the record that the refusal is about, as it was then.
 * @returns the same object where nothing changes.
 */
export function refused(
  record: VersionRecord,
  judged: VersionRecord,
  refusal: Refusal,
  added: Fetched,
  now: number,
): VersionRecord {
  if (record.state !== "PENDING" && !isRefused(record)) return record;
  // Another worker has it whole by now, under a policy that let it in.
  if (record.held === "whole" || record.wanted === "mod") return record;
  // A block goes before all else.
  if (record.state === "BLOCKED" && refusal.state !== "BLOCKED") return record;
  if (record.state === "PENDING" && refusal.rule === COOLDOWN && isClaimedSince(record, judged))
    return { ...fetched(record, added, now), due: now };
  const { due: _due, failingSince: _since, ...rest } = fetched(record, added, now);
  return {
    ...rest,
    state: refusal.state,
    rule: firstBytes(refusal.rule, RULE_BYTES),
    lastError: { class: "denied", message: firstBytes(refusal.reason, ERROR_BYTES) },
    attempts: 0,
    ...(refusal.until === undefined ? {} : { due: refusal.until }),
  };
}

function isClaimedSince(record: VersionRecord, judged: VersionRecord): boolean {
  const claim = claimOf(record);
  return claim !== undefined && claim !== claimOf(judged);
}
