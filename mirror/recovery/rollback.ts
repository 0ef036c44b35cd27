import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type Version } from "../../gomod/version.ts";
import { moveMark, readMark } from "../bundle/mark.ts";
import { misuse } from "../errors.ts";
import type { JournalEntry } from "../ledger-entries.ts";
import type { Clock, Ledger, Tree, Vault } from "../ports.ts";
import { dependable, type VersionRecord } from "../records.ts";
import { requestTimeOf } from "../requests.ts";
import { type LineRuns, SortedLines } from "../scrub/sorted-lines.ts";
import { listSnapshots, unknownSnapshot } from "../snapshot/catalog.ts";
import { changedEntry } from "../snapshot/entry-change.ts";
import { openSnapshot } from "../snapshot/open-snapshot.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { SnapshotName } from "../snapshot/snapshot-name.ts";
import { updateRecords } from "../update.ts";
import type { Finding } from "../verify-seen.ts";
import { setLists } from "./set-lists.ts";

export interface RollbackParts {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly runs: LineRuns;
  readonly now: Clock;
  /** Told of what was listed then and cannot be now. */
  readonly found: (finding: Finding) => void;
}

export interface RolledBack {
  readonly snapshot: SnapshotName;
  /** Modules whose lists are others now, and versions that were added to and taken off them. */
  readonly modules: number;
  readonly listed: number;
  readonly unlisted: number;
  readonly findings: number;
  /** Whether a mark was moved back: bundles from here on are imported again. */
  readonly marked: boolean;
}

/**
 * Lists and `@latest` as a snapshot had them: what came later is listed no more, what was taken off since is listed again
 * where it is still there. No head, file or record goes; each version is served by its exact name as before; a block
 * that was decided since stays in force. The decision is written first and the mark moved last; dying in between, it is
 * done again.
 * @throws MirrorError misuse where there is no such snapshot, or it has expired: what it names may be collected.
 */
export async function rollback(parts: RollbackParts, name: SnapshotName, by: string): Promise<RolledBack> {
  const { vault, ledger, now } = parts;
  const known = (await listSnapshots(parts)).find((entry) => entry.name === name);
  if (known?.state === "expired")
    throw misuse(name, `snapshot ${name}: has expired, so what it names may be collected; take a later one`);
  const snapshot = await openSnapshot(vault, name);
  if (snapshot === undefined) throw unknownSnapshot(name);
  try {
    const at = now();
    const decision = { decision: "rollback", snapshot: name, by, at };
    await vault.put(
      `decisions/rollback/${requestTimeOf(at)}-${name}.json`,
      Buffer.from(`${JSON.stringify(decision)}\n`),
    );
    const work = new Rollback(parts);
    for await (const { path, past, present } of differing(parts, snapshot))
      await work.module(path, past, present);
    const marked = (await readMark(ledger)) !== undefined;
    if (marked) await moveMark(ledger, { snapshot: name, at: now() });
    return { snapshot: name, ...work.counts, marked };
  } finally {
    await snapshot.close();
  }
}

class Rollback {
  readonly #parts: RollbackParts;
  counts = { modules: 0, listed: 0, unlisted: 0, findings: 0 };

  constructor(parts: RollbackParts) {
    this.#parts = parts;
  }

  async module(path: ModulePath, past: ReadonlySet<Version>, listed: ReadonlySet<Version>): Promise<void> {
    const { tree, ledger, now } = this.#parts;
    const records = new Map((await ledger.readModule(path)).map((record) => [record.version, record]));
    const target = new Set<Version>();
    for (const version of past) {
      const problem = problemOf(records.get(version));
      if (problem === undefined) target.add(version);
      else this.#found(formatModuleVersion({ path, version }), `was listed then, and ${problem}`);
    }
    const changing = [...new Set([...past, ...listed])].filter(
      (version) => target.has(version) !== listed.has(version),
    );
    // The tree first: what a list names, the ledger lists, or is about to.
    await setLists(tree, path, [...target]);
    if (changing.length === 0) return;
    const changed = changedEntry(now);
    const journal = (after: VersionRecord, before: VersionRecord | undefined): JournalEntry | undefined =>
      after.listed && before?.listed !== true
        ? { event: "listed", version: { path, version: after.version }, at: now() }
        : changed(after, before);
    await updateRecords(
      ledger,
      changing.map((version) => ({ path, version })),
      (record) => record && { ...record, listed: target.has(record.version) },
      journal,
    );
    const more = changing.filter((version) => target.has(version)).length;
    const { modules, listed: added, unlisted } = this.counts;
    this.counts = {
      ...this.counts,
      modules: modules + 1,
      listed: added + more,
      unlisted: unlisted + changing.length - more,
    };
  }

  #found(subject: string, message: string): void {
    this.counts = { ...this.counts, findings: this.counts.findings + 1 };
    this.#parts.found({ subject, message });
  }
}

/** Why a version cannot be listed; undefined where it can. */
function problemOf(record: VersionRecord | undefined): string | undefined {
  if (record === undefined)
    return "the ledger does not know it any more; `modferry rebuild-tree` brings it back";
  if (dependable(record) === "whole" && record.state !== "BLOCKED") return undefined;
  return `is ${record.state} now${record.rule === undefined ? "" : ` (${record.rule})`}; left off`;
}

interface Differing {
  readonly path: ModulePath;
  readonly past: ReadonlySet<Version>;
  readonly present: ReadonlySet<Version>;
}

/** Modules of which other versions are listed now than then; both sides sorted by path, side by side. */
async function* differing({ ledger, runs }: RollbackParts, snapshot: Snapshot): AsyncGenerator<Differing> {
  const lines = new SortedLines(runs);
  for await (const { path, version, listed } of ledger.records())
    if (listed) await lines.add(`${path}\t${version}`);
  const now = grouped(pairsOf(lines.sorted()));
  const then = grouped(listedEntries(snapshot));
  let [a, b] = [await nextOf(then), await nextOf(now)];
  while (a !== undefined || b !== undefined) {
    const path = a === undefined || (b !== undefined && b.path < a.path) ? b?.path : a.path;
    if (path === undefined) return;
    const past = a?.path === path ? a.versions : NONE;
    const present = b?.path === path ? b.versions : NONE;
    const same = past.size === present.size && [...past].every((version) => present.has(version));
    if (!same) yield { path, past, present };
    if (a?.path === path) a = await nextOf(then);
    if (b?.path === path) b = await nextOf(now);
  }
}

async function nextOf(groups: AsyncIterator<Group>): Promise<Group | undefined> {
  const next = await groups.next();
  return next.done === true ? undefined : next.value;
}

const NONE: ReadonlySet<Version> = new Set();

interface Group {
  readonly path: ModulePath;
  readonly versions: ReadonlySet<Version>;
}

type Pair = Pick<VersionRecord, "path" | "version">;

async function* pairsOf(lines: AsyncIterable<string>): AsyncGenerator<Pair> {
  for await (const line of lines) {
    const [path = "", version = ""] = line.split("\t");
    yield { path: path as ModulePath, version: version as Version };
  }
}

async function* listedEntries(snapshot: Snapshot): AsyncGenerator<Pair> {
  for await (const entry of snapshot.entries()) if (entry.listed) yield entry;
}

async function* grouped(pairs: AsyncIterable<Pair>): AsyncGenerator<Group> {
  let group: { path: ModulePath; versions: Set<Version> } | undefined;
  for await (const { path, version } of pairs) {
    if (group !== undefined && group.path !== path) yield group;
    if (group?.path !== path) group = { path, versions: new Set() };
    group.versions.add(version);
  }
  if (group !== undefined) yield group;
}
