import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import type { Ledger } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { infoKey, listKey, lookupKey, modKey, zipKey } from "./tree-keys.ts";
import type { Seen } from "./verify-seen.ts";

/** Holds what was read of a tree against the ledger, in both directions. */
export async function compareWithLedger(ledger: Ledger, seen: Seen): Promise<void> {
  const recorded = new Set<string>();
  for await (const record of ledger.records()) {
    const name = formatModuleVersion(record);
    recorded.add(name);
    compareRecord(record, name, seen);
  }
  for (const [name, { mod, zip, info }] of seen.versions) {
    if (recorded.has(name) || (mod ?? zip ?? info) === undefined) continue;
    seen.findings.push({
      subject: name,
      message: "its files are in the tree, but the ledger does not know it; sync it again",
    });
  }
}

function compareRecord(record: VersionRecord, name: string, seen: Seen): void {
  const found = (subject: string, message: string) => void seen.findings.push({ subject, message });
  const version = seen.versions.get(name);
  const needed = [
    ...(record.held === "nothing" ? [] : [modKey(record)]),
    ...(record.held === "whole" ? [zipKey(record), infoKey(record), listKey(record.path)] : []),
    ...(record.held === "nothing" || record.sumdbRecord === undefined
      ? []
      : [lookupKey(record.sumdbRecord.database, record)]),
  ];
  for (const key of needed) if (!seen.keys.has(key)) found(key, `missing, although the ledger holds ${name}`);
  for (const [key, actual, expected] of [
    [modKey(record), version?.mod, record.modH1],
    [zipKey(record), version?.zip, record.zipH1],
  ] as const) {
    if (actual === undefined || expected === undefined || actual === expected) continue;
    found(key, `has ${actual}, the ledger says ${expected}`);
  }
  const listed = seen.listed.has(name);
  if (listed && !record.listed)
    found(name, "its module's list names it, but the ledger does not list it; sync it again");
  if (!listed && record.listed && !isPseudoVersion(record.version))
    found(name, "the ledger lists it, but its module's list does not name it");
}
