import { formatModuleVersion } from "../gomod/version.ts";
import type { CatalogEntry } from "../mirror/snapshot/catalog.ts";
import { DiffCounter, diffSnapshots } from "../mirror/snapshot/diff.ts";
import type { Pin } from "../mirror/snapshot/pin.ts";
import type { Snapshot, SnapshotHeader } from "../mirror/snapshot/snapshot.ts";
import { timeOfSnapshot } from "../mirror/snapshot/snapshot-name.ts";
import { parseTree } from "../sumdb/tree-head.ts";
import { jsonLine } from "./json-line.ts";
import { type Output, oneLine } from "./output.ts";

type Counts = SnapshotHeader["counts"];

/** `12 versions of 3 modules, 4.5 MB`; bytes are those of `.mod` and `.zip`. */
export function saySize({ modules, versions, bytes }: Counts): string {
  return `${versions} versions of ${modules} modules, ${(bytes / 1e6).toFixed(1)} MB`;
}

const time = (ms: number): string => new Date(ms).toISOString();

/** A line of `snapshot list`. */
export function printListing(
  { name, state, expiredAt }: CatalogEntry,
  counts: Counts | undefined,
  pinned: boolean,
  json: boolean,
  output: Output,
): void {
  if (json) {
    const expired = expiredAt === undefined ? {} : { expiredAt: time(expiredAt) };
    const until = time(timeOfSnapshot(name));
    output.print(
      jsonLine({ event: "snapshot", name, until, state, ...expired, pinned, ...(counts && { counts }) }),
    );
    return;
  }
  const notes = [counts === undefined ? undefined : saySize(counts), pinned ? "pinned" : undefined];
  if (expiredAt !== undefined) notes.push(`expired ${time(expiredAt)}`);
  output.print([name, ...notes.filter((note) => note !== undefined)].join("  "));
}

export function printHeader(header: SnapshotHeader, json: boolean, output: Output): void {
  const { name, hash, until, previous, counts, heads, blocks, vulndbModified } = header;
  const sizes = Object.fromEntries(Object.entries(heads).map(([database, note]) => [database, sizeOf(note)]));
  if (json) {
    const vulndb = vulndbModified === undefined ? {} : { vulndbModified };
    const before = previous === undefined ? {} : { previous };
    const fields = { name, hash, until: time(until), ...before, counts, heads: sizes, ...vulndb, blocks };
    output.print(jsonLine({ event: "snapshot", ...fields }));
    return;
  }
  output.print(`name      ${name}`);
  output.print(`hash      ${hash}`);
  output.print(`until     ${time(until)}`);
  if (previous !== undefined) output.print(`previous  ${previous}`);
  output.print(`holds     ${saySize(counts)}`);
  for (const [database, size] of Object.entries(sizes))
    output.print(`head      ${oneLine(database)} at tree size ${size}`);
  if (vulndbModified !== undefined) output.print(`vulndb    modified ${oneLine(vulndbModified)}`);
  for (const block of blocks)
    output.print(`blocked   ${oneLine(block.name)} by ${oneLine(block.by)}: ${oneLine(block.reason)}`);
}

function sizeOf(note: string): number {
  return parseTree(note.slice(0, note.lastIndexOf("\n\n") + 1)).size;
}

export function printPins(pins: readonly Pin[], json: boolean, output: Output): void {
  for (const { snapshot: name, holder, reason, by, at, until } of pins) {
    const lease = { ...(holder && { holder }), ...(until === undefined ? {} : { until: time(until) }) };
    if (json) output.print(jsonLine({ event: "pin", name, reason, by, at: time(at), ...lease }));
    else {
      const end = until === undefined ? "" : `, until ${time(until)}`;
      output.print(`pinned    by ${oneLine(by)} at ${time(at)}${end}: ${oneLine(reason)}`);
    }
  }
}

const MARKS = { added: "+", removed: "-", changed: "~" } as const;

/** A line for each version that one of them has and the other not, or otherwise; then how many there are. */
export async function printDiff(from: Snapshot, to: Snapshot, json: boolean, output: Output): Promise<void> {
  const counter = new DiffCounter(from, to);
  for await (const change of diffSnapshots(from, to)) {
    await counter.count(change);
    const { entry } = change;
    if (json) {
      const { path: module, version, held, listed } = entry;
      const before =
        change.change === "changed"
          ? { before: { held: change.before.held, listed: change.before.listed } }
          : {};
      output.print(jsonLine({ event: change.change, module, version, held, listed, ...before }));
    } else output.print(`${MARKS[change.change]} ${formatModuleVersion(entry)}${noteOf(change)}`);
  }
  const { modules, versions } = counter.counts();
  if (json) {
    output.print(jsonLine({ event: "diff", from: from.header.name, to: to.header.name, modules, versions }));
    return;
  }
  for (const path of modules.added) output.print(`+ ${path}`);
  for (const path of modules.removed) output.print(`- ${path}`);
  output.error(
    `modferry: ${versions.added} versions added, ${versions.removed} removed, ${versions.changed} changed; ` +
      `${modules.added.length} modules new, ${modules.removed.length} gone`,
  );
}

/** What is other in a version that both have, or that not all of it is there. */
function noteOf(change: Parameters<DiffCounter["count"]>[0]): string {
  const { entry } = change;
  if (change.change !== "changed") return entry.held === "mod" ? " (go.mod)" : "";
  const { before } = change;
  const notes: string[] = [];
  if (before.held !== entry.held) notes.push(entry.held === "whole" ? "whole now" : "go.mod alone now");
  if (before.listed !== entry.listed) notes.push(entry.listed ? "listed now" : "off its list");
  if (before.zipSha256 !== entry.zipSha256 && before.held === entry.held) notes.push("other bytes");
  return notes.length === 0 ? "" : ` (${notes.join(", ")})`;
}
