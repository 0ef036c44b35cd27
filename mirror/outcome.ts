import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { asMirrorError, type MirrorError } from "./errors.ts";
import { keepEvidence } from "./evidence.ts";
import { failed } from "./failed-record.ts";
import { type Fetched, fetched } from "./fetched-record.ts";
import type { MirrorParts } from "./parts.ts";
import { covers, type Extent, type VersionRecord } from "./records.ts";
import { type Refusal, refused } from "./refusal.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { updateRecords } from "./update.ts";

type OutcomeParts = Pick<MirrorParts, "ledger" | "vault" | "now" | "report">;

/** What to make of the record that is stored now, before the outcome is noted; undefined to leave it. */
export type Wanted = (current: VersionRecord | undefined) => VersionRecord | undefined;

/**
 * Notes what one fetch has stored, with its journal line: `held` with the first that makes a version whole. A crash before
 * this leaves proven files in the tree that no record knows: the next try finds them and notes them.
 * @returns the record as it is stored now.
 */
export async function noteFetched(
  parts: OutcomeParts,
  version: ModuleVersion,
  added: Fetched,
  bytes: number,
  wanted: Wanted = (current) => current,
): Promise<VersionRecord | undefined> {
  let becameWhole = false;
  const [record] = await updateRecords(
    parts.ledger,
    [version],
    (current) => {
      const before = wanted(current);
      if (before === undefined) return undefined;
      // Collected meanwhile: what was stored may be gone with the rest, so that it counts only when it is fetched anew.
      if (current?.state === "REMOVING" || current?.state === "REMOVED") return before;
      const after = fetched(before, added, parts.now());
      becameWhole = after.held === "whole" && before.held !== "whole";
      return after;
    },
    (after, before) =>
      becameWhole ? { event: "held", version, at: parts.now() } : changedEntry(parts.now)(after, before),
  );
  parts.report({ event: "fetched", version, held: added.held === "whole" ? "whole" : "mod", bytes });
  return record;
}

/**
 * Notes what keeps a version's zip out, with what was stored of the rest of it.
 * @param judged its record, as the refusal is about it.
 * @returns the record as it is stored now.
 */
export async function noteRefused(
  parts: OutcomeParts,
  judged: VersionRecord,
  added: Fetched,
  refusal: Refusal,
): Promise<VersionRecord | undefined> {
  const version: ModuleVersion = { path: judged.path, version: judged.version };
  let counted = false;
  const refuse = (current: VersionRecord | undefined) => {
    const after = current && refused(current, judged, refusal, added, parts.now());
    counted = after !== current && after?.state === refusal.state;
    return after;
  };
  const [record] = await updateRecords(parts.ledger, [version], refuse, changedEntry(parts.now));
  const { state, rule, reason: message } = refusal;
  if (counted) parts.report({ event: "refusedByPolicy", version, state, rule, message });
  return record;
}

/**
 * Notes why a version, or as much as `extent` of it, could not be had, and keeps the evidence; nothing where another
 * worker has got it in the meantime.
 */
export async function noteFailed(
  parts: OutcomeParts,
  version: ModuleVersion,
  thrown: unknown,
  extent?: Extent,
  wanted: Wanted = (current) => current,
): Promise<MirrorError> {
  const error = asMirrorError(thrown, formatModuleVersion(version));
  await keepEvidence(parts.vault, error);
  let counted = false;
  const fail = (current: VersionRecord | undefined) => {
    const before = wanted(current);
    // All that is wanted may be held, and only a further database's proof be missing.
    const open =
      extent === undefined ? before?.state === "PENDING" : !covers(before?.held ?? "nothing", extent);
    counted = before !== undefined && open;
    return before === undefined || !counted ? undefined : failed(before, error, parts.now());
  };
  const [record] = await updateRecords(parts.ledger, [version], fail, changedEntry(parts.now));
  if (counted && record !== undefined) {
    const { state } = record;
    parts.report({ event: "failed", version, state, class: error.class, message: error.message });
  }
  return error;
}
