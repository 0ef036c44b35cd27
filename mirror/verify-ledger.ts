import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import type { Ledger } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { infoKey, listKey, lookupKey, modKey, zipKey } from "./tree-keys.ts";
import type { Seen } from "./verify-seen.ts";

/**
 * Every record, by `module@version`. Taken before the tree is read: what the ledger held then, the tree must show, even
 * while a sync goes on.
 */
export async function readRecords(ledger: Ledger): Promise<Map<string, VersionRecord>> {
  const records = new Map<string, VersionRecord>();
  for await (const record of ledger.records()) records.set(formatModuleVersion(record), record);
  return records;
}

/** Holds what was read of a tree against the ledger, in both directions. */
export async function compareWithLedger(
  ledger: Ledger,
  records: ReadonlyMap<string, VersionRecord>,
  seen: Seen,
): Promise<void> {
  for (const [name, record] of records) compareRecord(record, name, seen);
  for (const [name, { version, mod, zip, info }] of seen.versions) {
    const inTree = (mod ?? zip ?? info) !== undefined;
    const listed = seen.listed.has(name);
    if ((!inTree || records.has(name)) && (!listed || records.get(name)?.listed === true)) continue;
    // Perhaps written since the records were read.
    const [now] = await ledger.read([version]);
    if (now === undefined) {
      seen.findings.push({
        subject: name,
        message: "its files are in the tree, but the ledger does not know it; sync it again",
      });
    } else if (listed && !now.listed) {
      const message = "its module's list names it, but the ledger does not list it; sync it again";
      seen.findings.push({ subject: name, message });
    }
  }
}

function compareRecord(record: VersionRecord, name: string, seen: Seen): void {
  const found = (subject: string, message: string) => void seen.findings.push({ subject, message });
  const version = seen.versions.get(name);
  const needed = [
    ...(record.held === "nothing" ? [] : [modKey(record)]),
    ...(record.held === "whole" ? [zipKey(record), infoKey(record), listKey(record.path)] : []),
    ...(record.held === "nothing"
      ? []
      : Object.keys(record.sumdbRecords ?? {}).map((database) => lookupKey(database, record))),
  ];
  for (const key of needed)
    if (!seen.keys.has(key)) found(key, `missing, although the ledger holds ${name}; sync it again`);
  for (const [key, actual, expected] of [
    [modKey(record), version?.mod, record.modH1],
    [zipKey(record), version?.zip, record.zipH1],
  ] as const) {
    if (actual === undefined || expected === undefined || actual === expected) continue;
    found(key, `has ${actual}, the ledger says ${expected}; remove it and sync ${name} again`);
  }
  if (record.state === "CONFLICT" && record.held !== "nothing") {
    const why = record.lastError?.message ?? "its bytes differ from the checksum database";
    found(name, `CONFLICT: ${why}; remove its files wherever this tree is served without modferry`);
  }
  if (!seen.listed.has(name) && record.listed && !isPseudoVersion(record.version))
    found(name, "the ledger lists it, but its module's list does not name it");
}
