import { parseInfo } from "../../gomod/info.ts";
import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import type { Need } from "../closure-file.ts";
import { settleRequestsOf } from "../dependents.ts";
import type { MirrorParts } from "../parts.ts";
import { LARGEST_LIST } from "../publish.ts";
import { covers, type VersionRecord } from "../records.ts";
import { LARGEST_INFO } from "../store-files.ts";
import { latestKey, listKey } from "../tree-keys.ts";
import { updateRecords } from "../update.ts";
import { closureFromTree } from "./known-closures.ts";
import { takeOffLists, waitAnew } from "./off-list.ts";
import type { References } from "./references.ts";
import { isNeededAfterAll, keptAfterAll } from "./removal.ts";
import type { SnapshotHolds } from "./snapshot-holds.ts";

type RemovableParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "now" | "report">;

/** REMOVING records are read so many at a time. */
const PAGE = 500;

/** Every version that is being collected, as far as the index shows it. */
export async function beingRemoved(ledger: Pick<MirrorParts["ledger"], "inState">): Promise<VersionRecord[]> {
  const found: VersionRecord[] = [];
  let after: VersionRecord | undefined;
  do {
    const page = await ledger.inState("REMOVING", { limit: PAGE, ...(after && { after }) });
    found.push(...page);
    after = page.at(-1);
  } while (after !== undefined);
  return found;
}

/**
 * Gives back what is being collected and is referred to after all, whoever began to refer to it without asking for it: a
 * snapshot that was being taken, a subscription that is there again. The requests that have it are settled, so that it is
 * listed where it may be. @returns how many.
 */
export async function keepNeeded(
  parts: RemovableParts,
  { marks }: References,
  records: readonly VersionRecord[],
): Promise<number> {
  const needed = records.filter((record) => isNeededAfterAll(record, marks.of(record)));
  const kept = new Set<string>();
  await updateRecords(parts.ledger, needed, (record) => {
    if (record === undefined || !isNeededAfterAll(record, marks.of(record))) return undefined;
    const next = keptAfterAll(record, parts.now());
    if (next !== undefined) kept.add(formatModuleVersion(record));
    return next;
  });
  const back = needed.filter((record) => kept.has(formatModuleVersion(record)));
  if (back.length > 0) await settleRequestsOf(parts, back);
  return back.length;
}

/**
 * Of what has been off its list for `wait` ms before the references were read, that whose files may go now: no list or
 * `@latest` names it, nor anything that needs it, and no snapshot that has not expired has it. What a list still names is
 * taken off, or is kept waiting until it is; then it waits anew.
 */
export async function removable(
  parts: RemovableParts,
  {
    references,
    snapshots,
  }: { readonly references: References; readonly snapshots: Pick<SnapshotHolds, "naming"> },
  records: readonly VersionRecord[],
  wait: number,
): Promise<VersionRecord[]> {
  const isDue = ({ removal }: VersionRecord) =>
    removal !== undefined && (removal.deleting ?? removal.since) + wait <= references.at;
  const due = records.filter((record) => record.state === "REMOVING" && isDue(record));
  const going = due.filter(({ removal }) => removal?.deleting !== undefined);
  const open = new Map(
    due
      .filter((record) => record.removal?.deleting === undefined)
      .filter((record) => !isNeededAfterAll(record, references.marks.of(record)))
      .map((record) => [formatModuleVersion(record), record]),
  );
  for (const name of await snapshots.naming(open)) open.delete(name);
  if (open.size === 0) return going;
  const lists = new ShownLists(parts.tree);
  const waiting = new Set<string>();
  for (const [name, record] of open) if (await takenOff(parts, lists, record)) waiting.add(name);
  const lacks = ({ version, extent }: Need) => {
    const record = open.get(formatModuleVersion(version));
    return record !== undefined && !covers(record.removal?.keeps ?? "nothing", extent);
  };
  for await (const { root, needs } of dependents(parts, references, lacks))
    if (!(await isOffSince(parts, lists, root, references.at - wait)))
      for (const name of needs) waiting.add(name);
  await waitAnew(
    parts,
    [...waiting].map((name) => open.get(name)).filter((record) => record !== undefined),
  );
  return [...going, ...[...open].filter(([name]) => !waiting.has(name)).map(([, record]) => record)];
}

/** Every root that needs something of it, as far as closures are known; listed ones whose are lost, by their go.mods. */
async function* dependents(
  { tree }: Pick<RemovableParts, "tree">,
  { closures, listed, marks }: References,
  lacks: (need: Need) => boolean,
): AsyncGenerator<{ readonly root: ModuleVersion; readonly needs: Iterable<string> }> {
  yield* (await closures.rootsThatNeed(lacks)).values();
  for (const versions of listed.values())
    for (const root of versions) {
      if (closures.has(root) || marks.isClosed(formatModuleVersion(root))) continue;
      const needs = (await closureFromTree(tree, root)).filter(lacks);
      if (needs.length > 0) yield { root, needs: needs.map(({ version }) => formatModuleVersion(version)) };
    }
}

/** @returns whether a list or `@latest` still named the version; now none does. */
async function takenOff(parts: RemovableParts, lists: ShownLists, version: ModuleVersion): Promise<boolean> {
  if (!(await lists.name(version))) return false;
  // Read after the list: what was taken back by then is listed again for good.
  const [record] = await parts.ledger.read([version]);
  if (record?.state === "REMOVING") await takeOffLists(parts, [version]);
  return true;
}

/** Whether no reader has been able to choose a root from a list since then. */
async function isOffSince(
  parts: RemovableParts,
  lists: ShownLists,
  root: ModuleVersion,
  since: number,
): Promise<boolean> {
  const [record] = await parts.ledger.read([root]);
  if (record?.state === "REMOVING" && (record.removal?.since ?? 0) > since) return false;
  if (!(await lists.name(root))) return record?.listed !== true;
  // A publisher died right after it had written the list: its closure is not kept, so it is not to be there.
  if (record?.listed !== true) await takeOffLists(parts, [root]);
  return false;
}

/** What lists and `@latest` name, each read once. */
class ShownLists {
  readonly #tree: MirrorParts["tree"];
  readonly #names = new Map<ModulePath, Promise<ReadonlySet<Version>>>();

  constructor(tree: MirrorParts["tree"]) {
    this.#tree = tree;
  }

  async name({ path, version }: ModuleVersion): Promise<boolean> {
    const known = this.#names.get(path) ?? this.#read(path);
    this.#names.set(path, known);
    return (await known).has(version);
  }

  async #read(path: ModulePath): Promise<ReadonlySet<Version>> {
    const [list, latest] = await Promise.all([
      this.#tree.get(listKey(path), LARGEST_LIST),
      this.#tree.get(latestKey(path), LARGEST_INFO),
    ]);
    const names = new Set<Version>(list === undefined ? [] : parseVersionList(list.bytes).versions);
    if (latest !== undefined) names.add(parseInfo(latest.bytes).version);
    return names;
  }
}
