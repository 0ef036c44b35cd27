import { compareModuleVersions } from "../../gomod/version.ts";
import type { MirrorParts } from "../parts.ts";
import type { VersionRecord } from "../records.ts";
import { MOST_LISTED, type SurplusVersion } from "./garbage-list.ts";
import { bytesOf, type References } from "./references.ts";
import { isSurplus } from "./removal.ts";

/** A graph that is being loaded wants its go.mods before anything says that it needs them, in ms. */
const RECENT = 3_600_000;

/**
 * Every version of which more is held than anything refers to, the largest list's worth, by module and version. Changes
 * nothing.
 * @param recent what was wanted within the last hour too: where nobody else can be at work.
 */
export async function chooseVersions(
  parts: Pick<MirrorParts, "ledger">,
  references: References,
  recent: boolean,
): Promise<{ readonly versions: SurplusVersion[]; readonly more: number }> {
  const found: SurplusVersion[] = [];
  let more = 0;
  const latest = recent ? Number.POSITIVE_INFINITY : references.at - RECENT;
  for await (const record of parts.ledger.records()) {
    const needed = references.marks.of(record);
    if (needed === "whole" || record.wantedAt > latest || !isSurplus(record, needed)) continue;
    if (found.length < MOST_LISTED) found.push(surplusOf(record, needed));
    else more++;
  }
  found.sort((a, b) => compareModuleVersions(a.version, b.version));
  return { versions: found, more };
}

function surplusOf(record: VersionRecord, keeps: "nothing" | "mod"): SurplusVersion {
  const { path, version, wantedAt, state, wish, firstSeen } = record;
  const bytes = bytesOf(record) - (keeps === "mod" ? (record.modSize ?? 0) : 0);
  return { version: { path, version }, keeps, wantedAt, state, bytes: Math.max(0, bytes), wish, firstSeen };
}
