import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import type { Verifier } from "../../sumdb/note.ts";
import { type Tile, tileAt } from "../../sumdb/tile.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import type { ChecksumDatabase } from "../checksum-database.ts";
import { asMirrorError } from "../errors.ts";
import type { MirrorParts } from "../parts.ts";
import type { Tree } from "../ports.ts";
import { LARGEST_LIST } from "../publish.ts";
import { setLists } from "../recovery/set-lists.ts";
import { type Refreshed, refreshVersions } from "../refresh.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { infoKey, listKey, modKey, parseTreeKey, type TreeKey, treeHeadKey, zipKey } from "../tree-keys.ts";
import type { ScrubFinding, SettledFinding } from "./finding.ts";

export interface MendParts {
  readonly tree: Tree;
  readonly ledger: MirrorParts["ledger"];
  /**
   * Whether nobody else writes this mirror: then a name that the ledger does not list goes off its list. Where others
   * work, one of them may be just about to note it.
   */
  readonly alone: boolean;
  /** Where files come from; absent on an island. */
  readonly upstream?: Parameters<typeof refreshVersions>[0];
  readonly databases: readonly ChecksumDatabase[];
  readonly verifiers: readonly Verifier[];
}

/**
 * Mends what was found: files and tiles from upstream, each proven as when it first came; lists, `@latest` and heads from
 * the ledger. Tiles first, which prove the versions; lists last, which name them.
 * @returns each with what became of it, in their order.
 */
export async function mend(
  parts: MendParts,
  findings: readonly ScrubFinding[],
): Promise<readonly SettledFinding[]> {
  const outcomes = new Map<ScrubFinding, Outcome>();
  const of = (chosen: (repair: NonNullable<ScrubFinding["repair"]>) => boolean) =>
    findings.filter(({ repair }) => repair !== undefined && chosen(repair));
  for (const finding of of((repair) => "database" in repair))
    outcomes.set(finding, await mendDatabase(parts, finding));
  await mendVersions(
    parts,
    of((repair) => "version" in repair),
    outcomes,
  );
  await mendLists(
    parts,
    of((repair) => "lists" in repair),
    outcomes,
  );
  return findings.map((finding) => {
    const { repair: _repair, ...rest } = finding;
    return { ...rest, ...(outcomes.get(finding) ?? { outcome: "open" }) };
  });
}

type Outcome = Pick<SettledFinding, "outcome" | "remedy">;

const RESTORED: Outcome = { outcome: "restored" };
const lost = (remedy: string): Outcome => ({ outcome: "lost", remedy });
const NO_UPSTREAM =
  "no upstream is configured; `modferry rebuild-tree --from SNAPSHOT --bundles FOLDER` brings it back";

async function mendVersions(
  parts: MendParts,
  findings: readonly ScrubFinding[],
  outcomes: Map<ScrubFinding, Outcome>,
): Promise<void> {
  const versions = new Map<string, ModuleVersion>();
  for (const finding of findings) {
    if (finding.repair === undefined || !("version" in finding.repair)) continue;
    const { version, key } = finding.repair;
    const entry = parseTreeKey(key);
    if (entry?.kind === "lookup" && finding.kind === "damaged")
      outcomes.set(finding, await mendLookup(parts, entry.database, version));
    else versions.set(formatModuleVersion(version), version);
  }
  const results = new Map<string, Refreshed>();
  if (parts.upstream !== undefined && versions.size > 0)
    for (const result of await refreshVersions(parts.upstream, [...versions.values()]))
      results.set(formatModuleVersion(result.version), result);
  for (const finding of findings) {
    if (outcomes.has(finding) || finding.repair === undefined || !("version" in finding.repair)) continue;
    const result = results.get(formatModuleVersion(finding.repair.version));
    outcomes.set(finding, result === undefined ? lost(NO_UPSTREAM) : outcomeOf(result, finding.repair.key));
  }
}

/** A lookup is none of the files that a version's SHA-256s are kept of. */
async function mendLookup(parts: MendParts, name: string, version: ModuleVersion): Promise<Outcome> {
  const database = parts.databases.find((known) => known.name === name);
  if (database === undefined) return lost(NO_UPSTREAM);
  try {
    await database.restoreLookup(version);
    return RESTORED;
  } catch (thrown) {
    return lost(asMirrorError(thrown, formatModuleVersion(version)).message);
  }
}

function outcomeOf(result: Refreshed, key: TreeKey): Outcome {
  switch (result.outcome) {
    case "unchanged":
      // Somebody else was first.
      return RESTORED;
    case "restored":
      return result.files.includes(key)
        ? RESTORED
        : lost("upstream brought back other files of it, not this one");
    case "left":
      return { outcome: "open", remedy: result.message };
    default:
      return lost(result.message);
  }
}

async function mendLists(
  parts: MendParts,
  findings: readonly ScrubFinding[],
  outcomes: Map<ScrubFinding, Outcome>,
): Promise<void> {
  for (const finding of findings) {
    if (finding.repair === undefined || !("lists" in finding.repair)) continue;
    const path = finding.repair.lists;
    try {
      const records = new Map(
        (await parts.ledger.readModule(path)).map((record) => [record.version, record]),
      );
      const listed = [...records.values()].filter((record) => record.listed && record.held === "whole");
      const unknown = new Set<string>();
      const unlisted = new Set<string>();
      for (const version of await namesOf(parts.tree, path)) {
        const record = records.get(version);
        if (record?.held === "whole") {
          if (!record.listed && !parts.alone) unlisted.add(version);
        } else if (await isWhole(parts.tree, { path, version })) unknown.add(version);
      }
      await setLists(
        parts.tree,
        path,
        listed.map(({ version }) => version),
        // A ledger that has forgotten what is there says nothing about lists (docs/recovery.md, table gone).
        (version) => unknown.has(version) || unlisted.has(version),
      );
      const remedy =
        unknown.size > 0
          ? "`modferry rebuild-ledger` takes in what the ledger does not know"
          : "whoever has just listed it will note it; else hand its request in again";
      outcomes.set(finding, unknown.size + unlisted.size === 0 ? RESTORED : { outcome: "open", remedy });
    } catch (thrown) {
      outcomes.set(finding, lost(asMirrorError(thrown, path).message));
    }
  }
}

/** Versions that the list names now; none where it does not parse. */
async function namesOf(tree: Tree, path: ModulePath): Promise<readonly Version[]> {
  const list = await tree.get(listKey(path), LARGEST_LIST);
  try {
    return list === undefined ? [] : parseVersionList(list.bytes).versions;
  } catch {
    return [];
  }
}

async function isWhole(tree: Tree, version: ModuleVersion): Promise<boolean> {
  for (const key of [infoKey(version), modKey(version), zipKey(version)]) {
    const stored = await tree.open(key);
    await stored?.close();
    if (stored === undefined) return false;
  }
  return true;
}

async function mendDatabase(parts: MendParts, { repair }: ScrubFinding): Promise<Outcome> {
  if (repair === undefined || !("database" in repair)) return { outcome: "open" };
  const { database: name, tile, head } = repair;
  try {
    if (head === true) await mendHead(parts, name);
    const database = parts.databases.find((known) => known.name === name);
    if (head === true && database === undefined) return RESTORED;
    if (database === undefined) return lost(NO_UPSTREAM);
    if (head === true) await database.complete();
    else await database.restore(await tilesOf(parts, name, tile));
    return RESTORED;
  } catch (thrown) {
    return lost(asMirrorError(thrown, name).message);
  }
}

/** The tile itself, or where the head's edge lacks one that proves all of it. */
async function tilesOf(parts: MendParts, database: string, key: TreeKey | undefined): Promise<Tile[]> {
  const entry = key === undefined ? undefined : parseTreeKey(key);
  if (entry?.kind === "tile") return [entry.tile];
  const head = await parts.ledger.readHead(database);
  const last = head && tileAt(0, Math.floor((head.size - 1) / 256), head.size);
  return last === undefined ? [] : [last];
}

/** Our newest head is in the ledger; never back, so one that reads well and is no smaller stays. */
async function mendHead({ tree, ledger, verifiers }: MendParts, database: string): Promise<void> {
  const head = await ledger.readHead(database);
  const verifier = verifiers.find(({ name }) => name === database);
  if (head === undefined || verifier === undefined) return;
  const stored = await tree.get(treeHeadKey(database), LARGEST_LOOKUP);
  if (stored !== undefined && sizeOf(stored.bytes, verifier) >= head.size) return;
  await tree.replace(treeHeadKey(database), head.note, stored?.etag);
}

/** Records under a signed head; none where it is damaged. */
function sizeOf(note: Uint8Array, verifier: Verifier): number {
  try {
    return openTreeHead(note, verifier).size;
  } catch {
    return 0;
  }
}
