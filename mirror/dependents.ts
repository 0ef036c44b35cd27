import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../gomod/version.ts";
import { type ClosureFile, readClosure } from "./closure-file.ts";
import { MirrorError } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { unpublish } from "./publish.ts";
import { parseClosureKey } from "./requests.ts";
import { settle } from "./settle.ts";
import { updateRecords } from "./update.ts";

type DependentsParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "now" | "report">;

/**
 * Takes off their lists the roots whose own closure needs one of these versions whole, for what a list names can be
 * fetched with all that it needs; the requests that have one are settled anew, and so say what they lack. Reads every
 * closure in the vault. @returns how many roots.
 */
export async function unlistDependents(
  parts: DependentsParts,
  versions: readonly ModuleVersion[],
): Promise<number> {
  const names = new Set(versions.map(formatModuleVersion));
  let unlisted = 0;
  for await (const { request, closure } of closuresWith(parts, names)) {
    const roots = closure.roots.filter(({ root, needs }) => {
      const isOut = needs.some(
        ({ version, extent }) => extent === "whole" && names.has(formatModuleVersion(version)),
      );
      return isOut && !names.has(formatModuleVersion(root));
    });
    unlisted += await unlist(
      parts,
      roots.map(({ root }) => root),
    );
    await settle(parts, request);
  }
  return unlisted;
}

/** Settles the requests that need one of these: what can be listed again is listed. Reads every closure in the vault. */
export async function settleRequestsOf(
  parts: DependentsParts,
  versions: readonly ModuleVersion[],
): Promise<void> {
  const names = new Set(versions.map(formatModuleVersion));
  for await (const { request } of closuresWith(parts, names)) await settle(parts, request);
}

/** The requests whose closure has a version. Reads every closure in the vault. */
export async function* requestsWith(
  parts: Pick<MirrorParts, "vault">,
  version: ModuleVersion,
): AsyncGenerator<RequestKey> {
  for await (const { request } of closuresWith(parts, new Set([formatModuleVersion(version)]))) yield request;
}

async function unlist(parts: DependentsParts, roots: readonly ModuleVersion[]): Promise<number> {
  const records = (await parts.ledger.read(roots)).filter((record) => record !== undefined);
  const listed = records.filter((record) => record.listed);
  // Also what no record lists: a publisher that died right after it had written the list leaves that.
  const byPath = new Map<ModulePath, Version[]>();
  for (const { path, version, held } of records)
    if (held === "whole") byPath.set(path, [...(byPath.get(path) ?? []), version]);
  for (const [path, versions] of byPath) await unpublish(parts, path, versions);
  await updateRecords(parts.ledger, listed, (record) =>
    record?.listed === true ? { ...record, listed: false } : record,
  );
  return listed.length;
}

async function* closuresWith(
  { vault }: Pick<MirrorParts, "vault">,
  names: ReadonlySet<string>,
): AsyncGenerator<{ request: RequestKey; closure: ClosureFile }> {
  if (names.size === 0) return;
  for await (const key of vault.keys("requests/")) {
    const request = parseClosureKey(key);
    if (request === undefined) continue;
    const closure = await closureOf(vault, request);
    if (closure?.needs.some(({ version }) => names.has(formatModuleVersion(version))) === true)
      yield { request, closure };
  }
}

/** A damaged one is written anew when its request is resolved again; it must not hold up the others. */
async function closureOf(vault: MirrorParts["vault"], request: RequestKey): Promise<ClosureFile | undefined> {
  try {
    return await readClosure(vault, request);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}
