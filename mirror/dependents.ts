import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../gomod/version.ts";
import { type ClosureFile, readClosureWith } from "./closure-file.ts";
import { MirrorError } from "./errors.ts";
import { inBatches } from "./in-batches.ts";
import { inParallel } from "./in-parallel.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { unpublish } from "./publish.ts";
import type { VersionRecord } from "./records.ts";
import { parseClosureKey } from "./requests.ts";
import { settle } from "./settle.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { updateRecords } from "./update.ts";

type DependentsParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "now" | "report">;

/** Closures that are looked into at a time: some 100 KB each as a rule. */
const CLOSURES_AT_ONCE = 16;

/** Which versions are meant. */
export type Meant = (version: ModuleVersion) => boolean;

/** A walk over all closures that goes on where an earlier one had no time left. */
export interface ClosureWalk {
  /** The key up to which all is done. */
  readonly after?: string;
  /** Called when all up to this key is done. @returns false to stop there. */
  reached(key: string): Promise<boolean>;
}

/**
 * Takes off their lists the roots whose own closure needs one of these versions whole, for what a list names can be
 * fetched with all that it needs; the requests that have one are settled anew, and so say what they lack. Looks into
 * every closure in the vault. @returns how many roots, and whether the walk came to its end.
 */
export async function unlistDependents(
  parts: DependentsParts,
  isMeant: Meant,
  walk?: ClosureWalk,
): Promise<{ readonly roots: number; readonly isDone: boolean }> {
  let unlisted = 0;
  const isDone = await eachClosureWith(parts, isMeant, walk, async (found) => {
    const roots = found.flatMap(({ closure }) =>
      closure.roots.filter(({ root, needs }) => {
        const isOut = needs.some(({ version, extent }) => extent === "whole" && isMeant(version));
        return isOut && !isMeant(root);
      }),
    );
    // All at once, for whoever moves \`@latest\` goes by what the ledger lists.
    unlisted += await unlist(
      parts,
      roots.map(({ root }) => root),
    );
    await settleAll(parts, found);
  });
  return { roots: unlisted, isDone };
}

/**
 * Settles the requests that need one of these: what can be listed again is listed. Looks into every closure in the vault.
 * @returns whether the walk came to its end.
 */
export async function settleRequestsOf(
  parts: DependentsParts,
  versions: readonly ModuleVersion[] | Meant,
  walk?: ClosureWalk,
): Promise<boolean> {
  const isMeant = typeof versions === "function" ? versions : oneOf(versions);
  return await eachClosureWith(parts, isMeant, walk, (found) => settleAll(parts, found));
}

/**
 * The same, once what they need is given back: also what the ledger lists already. A worker may have listed it beside a
 * block's walk, noted that, and its place in the list be gone.
 */
export async function relistRequestsOf(
  parts: DependentsParts,
  isMeant: Meant,
  walk?: ClosureWalk,
): Promise<boolean> {
  return await eachClosureWith(parts, isMeant, walk, (found) => settleAll(parts, found, true));
}

/** The requests whose closure has a version, at most `most`. Looks into every closure in the vault until then. */
export async function requestsWith(
  parts: Pick<MirrorParts, "vault">,
  version: ModuleVersion,
  most: number,
): Promise<RequestKey[]> {
  const found: RequestKey[] = [];
  const enough = { reached: async () => found.length < most };
  await eachClosureWith(parts, oneOf([version]), enough, async (some) => {
    found.push(...some.map(({ request }) => request));
  });
  return found.slice(0, most);
}

function oneOf(versions: readonly ModuleVersion[]): Meant {
  const names = new Set(versions.map(formatModuleVersion));
  return (version) => names.has(formatModuleVersion(version));
}

/** Requests settled at a time. */
const SETTLED_AT_ONCE = 8;

async function settleAll(parts: DependentsParts, found: readonly Found[], relist = false): Promise<void> {
  await inParallel(
    found,
    SETTLED_AT_ONCE,
    async ({ request }) => void (await settle(parts, request, relist)),
  );
}

async function unlist(parts: DependentsParts, roots: readonly ModuleVersion[]): Promise<number> {
  const each = new Map(roots.map((root) => [formatModuleVersion(root), root]));
  const records = (await parts.ledger.read([...each.values()])).filter((record) => record !== undefined);
  // Also what no record lists: a publisher that died right after it had written the list leaves that.
  const byPath = new Map<ModulePath, Version[]>();
  for (const { path, version, held } of records)
    if (held === "whole") byPath.set(path, [...(byPath.get(path) ?? []), version]);
  for (const [path, versions] of byPath) await unpublish(parts, path, versions);
  const counted = new Set<string>();
  const off = (record: VersionRecord | undefined) => {
    if (record === undefined) return record;
    if (record.listed) counted.add(formatModuleVersion(record));
    // Another closure's walk was first.
    else counted.delete(formatModuleVersion(record));
    return record.listed ? { ...record, listed: false } : record;
  };
  await updateRecords(parts.ledger, records, off, changedEntry(parts.now));
  return counted.size;
}

interface Found {
  readonly request: RequestKey;
  readonly closure: ClosureFile;
}

/** Batch by batch, in the order of the keys. @returns whether all were looked into. */
async function eachClosureWith(
  { vault }: Pick<MirrorParts, "vault">,
  isMeant: Meant,
  walk: ClosureWalk | undefined,
  act: (found: readonly Found[]) => Promise<void>,
): Promise<boolean> {
  for await (const keys of inBatches(closureKeys(vault, walk?.after), CLOSURES_AT_ONCE)) {
    const found: Found[] = [];
    await inParallel(keys, CLOSURES_AT_ONCE, async ({ request }) => {
      const closure = await closureOf(vault, request, isMeant);
      if (closure !== undefined) found.push({ request, closure });
    });
    if (found.length > 0) await act(found);
    const last = keys.at(-1);
    if (last !== undefined && walk !== undefined && !(await walk.reached(last.key))) return false;
  }
  return true;
}

async function* closureKeys(
  vault: MirrorParts["vault"],
  after: string | undefined,
): AsyncGenerator<{ readonly key: string; readonly request: RequestKey }> {
  const from = Buffer.from(after ?? "");
  for await (const key of vault.keys("requests/")) {
    // By bytes, as the vault sorts them: the one that was reached may be gone.
    if (Buffer.compare(Buffer.from(key), from) <= 0) continue;
    const request = parseClosureKey(key);
    if (request !== undefined) yield { key, request };
  }
}

/** A damaged one is written anew when its request is resolved again; it must not hold up the others. */
async function closureOf(
  vault: MirrorParts["vault"],
  request: RequestKey,
  isMeant: Meant,
): Promise<ClosureFile | undefined> {
  try {
    return await readClosureWith(vault, request, isMeant);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}
