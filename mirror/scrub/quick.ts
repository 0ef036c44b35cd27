import { setImmediate } from "node:timers/promises";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { type Deadline, TIME_TO_CLOSE } from "../deadline.ts";
import type { Ledger, Tree } from "../ports.ts";
import { parseTreeKey, type TreeEntry, type TreeKey } from "../tree-keys.ts";
import { parseVulndbKey } from "../vulndb-keys.ts";
import { type Cursor, expectedOf, LAST, type ModuleRecords } from "./expected.ts";
import type { ScrubFinding } from "./finding.ts";
import { keyListing } from "./key-listing.ts";
import { checkModule } from "./module-check.ts";
import type { ScrubWork, Unfinished } from "./scrub-work.ts";
import type { LineRuns } from "./sorted-lines.ts";
import { isIn, moduleOrder, type Shard } from "./tree-order.ts";

/** Modules that are looked at side by side: two small files of each are read. */
const MODULES_AT_ONCE = 64;

export interface QuickParts {
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly runs: LineRuns;
  /** Names of the databases whose keys are known. */
  readonly databases: ReadonlySet<string>;
  readonly deadline: Deadline;
}

/**
 * The tree's sorted listing against the ledger's records in the same order: each key once, each record once, side by side
 * and in both directions, whatever there is of them. The ledger is read once, sorted outside of memory.
 * @param cursor goes on behind it.
 * @returns undefined where all is done.
 */
export async function quickScrub(
  parts: QuickParts,
  shard: Shard,
  cursor: string,
  work: ScrubWork,
): Promise<Unfinished | undefined> {
  const { modules, lookups } = await expectedOf(parts, shard, cursor);
  const batch = new Batch(parts, work);
  let group: Group | undefined;
  /** All that the ledger has before `key` and the tree has not: nothing may be left behind the cursor. */
  const advanceTo = async (key: string | undefined) => {
    for (let next = await modules.peek(); next !== undefined; next = await modules.peek()) {
      if (key !== undefined && next.order >= key) break;
      modules.take();
      batch.add({ ...next, files: new Map() });
      if (batch.size >= MODULES_AT_ONCE) await batch.run();
    }
    await compareLookups(parts, lookups, key, work);
  };
  const flush = async () => {
    if (group === undefined) return;
    const module = group;
    group = undefined;
    await advanceTo(module.order);
    const next = await modules.peek();
    const known = next?.order === module.order ? next.records : undefined;
    if (known !== undefined) modules.take();
    batch.add({ ...module, records: known ?? [] });
  };
  for await (const { key, size } of keyListing(parts, cursor, shard, work)) {
    const entry = parseTreeKey(key);
    const path = entry && pathOf(entry);
    if (entry === undefined || path === undefined) {
      if (shard.index === 1 && entry === undefined && parseVulndbKey(key) === undefined)
        work.found([{ kind: "stray", subject: key, message: "no file of a GOPROXY tree; remove it" }]);
      continue;
    }
    const order = moduleOrder(path);
    if (!isIn(shard, order)) continue;
    work.count({ files: 1, bytes: size });
    if (entry.kind === "lookup") {
      await flush();
      await advanceTo(key);
      if ((await lookups.peek()) === key) lookups.take();
      batch.seen(key);
    } else {
      if (group?.order !== order) await flush();
      group ??= { order, path, files: new Map() };
      group.files.set(key, size);
    }
    if (batch.size < MODULES_AT_ONCE) continue;
    await batch.run();
    if (parts.deadline.remaining() < TIME_TO_CLOSE) return { cursor: batch.cursor };
  }
  await flush();
  await advanceTo(undefined);
  await batch.run();
  return undefined;
}

interface Group {
  readonly order: string;
  readonly path: ModulePath;
  readonly files: Map<string, number>;
}

/** Modules that wait to be looked at together. */
class Batch {
  readonly #parts: QuickParts;
  readonly #work: ScrubWork;
  #modules: (ModuleRecords & { readonly files: ReadonlyMap<string, number> })[] = [];
  #seen: string | undefined;
  /** So that a tree of lookups is noted too. */
  #lookups = 0;
  cursor: string | undefined;

  constructor(parts: QuickParts, work: ScrubWork) {
    this.#parts = parts;
    this.#work = work;
  }

  get size(): number {
    return this.#modules.length + Math.floor(this.#lookups / MODULES_AT_ONCE);
  }

  add(module: ModuleRecords & { readonly files: ReadonlyMap<string, number> }): void {
    this.#modules.push(module);
    this.#seen = `${module.order}${LAST}`;
  }

  seen(key: string): void {
    this.#lookups++;
    this.#seen = key;
  }

  async run(): Promise<void> {
    const results = await Promise.all(
      this.#modules.map(({ path, records, files }) => checkModule(this.#parts, path, records, files)),
    );
    for (const findings of results) this.#work.found(findings);
    const versions = this.#modules.reduce((sum, { records }) => sum + records.length, 0);
    this.#work.count({ modules: this.#modules.length, versions });
    this.#modules = [];
    this.#lookups = 0;
    if (this.#seen === undefined) return;
    this.cursor = this.#seen;
    await this.#work.reached(this.#seen);
    // Where a store answers at once, signals and timers get their turn here.
    await setImmediate();
  }
}

/** Whose file it is; a database's head and tiles are nobody's. */
function pathOf(entry: TreeEntry): ModulePath | undefined {
  if ("version" in entry) return entry.version.path;
  return "path" in entry ? entry.path : undefined;
}

/** Lookups before `key` that the ledger says are published, and the listing has not. What it has besides does no harm. */
async function compareLookups(
  parts: QuickParts,
  expected: Cursor<string>,
  key: string | undefined,
  work: ScrubWork,
): Promise<void> {
  for (let next = await expected.peek(); next !== undefined; next = await expected.peek()) {
    if (key !== undefined && next >= key) return;
    expected.take();
    work.found(await missingLookup(parts, next as TreeKey));
  }
}

/** Read again now: it may have been written since the tree was listed. */
async function missingLookup({ tree, ledger }: QuickParts, key: TreeKey): Promise<readonly ScrubFinding[]> {
  const entry = parseTreeKey(key);
  if (entry?.kind !== "lookup") return [];
  const { version, database } = entry;
  const [record] = await ledger.read([version]);
  if (record === undefined || record.held === "nothing" || record.sumdbRecords?.[database] === undefined)
    return [];
  const stored = await tree.open(key);
  await stored?.close();
  if (stored !== undefined) return [];
  const message = `missing, although the ledger holds ${formatModuleVersion(version)}`;
  return [{ kind: "missing", subject: key, message, repair: { version, key } }];
}
