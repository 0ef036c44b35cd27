import { type H1, isH1 } from "../gomod/dirhash.ts";
import { PINNED, type VersionRecord } from "./records.ts";

/** A record's `rule` while a request's go.sum claims that its zip has this hash: at most RULE_BYTES. */
function ruleOfClaim(hash: H1): string {
  return `${PINNED} ${hash}`;
}

/** What a request's go.sum claims of the record's zip, as far as that is not decided yet. */
export function claimOf({ rule }: Pick<VersionRecord, "rule">): H1 | undefined {
  if (rule?.startsWith(`${PINNED} `) !== true) return undefined;
  const hash = rule.slice(PINNED.length + 1);
  return isH1(hash) ? hash : undefined;
}

/**
 * The record once a request's go.sum claims its zip's hash. Where it is proven what that is, another claim is none; where
 * it is not, the newest counts, and the gate compares it.
 * @param claims of several lines any may be right, as go has it; of what is not proven the first is compared.
 */
export function claimed(record: VersionRecord, claims: readonly H1[]): VersionRecord {
  if (record.held === "whole" || record.state === "BLOCKED") return record;
  const known = record.sumdbRecords === undefined ? undefined : record.zipH1;
  const claim = known === undefined ? claims[0] : claims.find((hash) => hash === known);
  if (claim === undefined || claim === claimOf(record)) return record;
  return { ...record, rule: ruleOfClaim(claim) };
}

/** Whether a checksum database has proven that the zip is the one that some request's go.sum pins. */
export function isPinned(record: VersionRecord): boolean {
  return record.sumdbRecords !== undefined && record.zipH1 !== undefined && claimOf(record) === record.zipH1;
}

/** The rule of a record that is done: a claim that was right stays to be seen, and all else has done its part. */
export function ruleOfDone({ rule }: VersionRecord, zipH1: H1 | undefined): string | undefined {
  const claim = claimOf({ ...(rule === undefined ? {} : { rule }) });
  return rule === PINNED || (claim !== undefined && claim === zipH1) ? PINNED : undefined;
}
