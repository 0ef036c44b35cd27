import type { JournalEntry } from "../ledger-entries.ts";
import type { Clock } from "../ports.ts";
import type { VersionRecord } from "../records.ts";
import { entryOf, printEntry } from "./snapshot-entry.ts";

/**
 * The journal's line where a write makes a snapshot's entry of a version another one: a snapshot reads again what the
 * journal names, and nothing else. For the `journal` of updateRecords, by the writes that have no line of their own.
 */
export function changedEntry(
  now: Clock,
): (after: VersionRecord, before: VersionRecord | undefined) => JournalEntry | undefined {
  return (after, before) => {
    // That it is kept after all has a line of its own (mirror/update.ts).
    if (before?.state === "REMOVING" || entryText(before) === entryText(after)) return undefined;
    return { event: "changed", version: { path: after.path, version: after.version }, at: now() };
  };
}

function entryText(record: VersionRecord | undefined): string | undefined {
  const entry = record && entryOf(record);
  return entry && printEntry(entry);
}
