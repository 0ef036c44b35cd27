import pLimit from "p-limit";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { MirrorParts } from "./parts.ts";
import type { Tree } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { infoKey, lookupKey, modKey, type TreeKey, zipKey } from "./tree-keys.ts";

/** Presence is asked of so many records at a time. */
const RECORDS_AT_ONCE = 32;

/** By `module@version`: what the tree still holds of a version that the ledger takes for READY, and whose lookups are lost. */
export type Lost = ReadonlyMap<
  string,
  { readonly held: VersionRecord["held"]; readonly lookups: readonly string[] }
>;

export const NOTHING_LOST: Lost = new Map();

/**
 * Which of these versions have lost files that the ledger holds: taken out by hand because they were damaged, or gone
 * with a disk. Asked for each request of people, so that handing it in again brings back what it needs.
 */
export async function lostFiles(
  parts: Pick<MirrorParts, "tree" | "ledger">,
  versions: readonly ModuleVersion[],
): Promise<Lost> {
  const limit = pLimit(RECORDS_AT_ONCE);
  const lost = new Map<string, { held: VersionRecord["held"]; lookups: readonly string[] }>();
  const look = async (record: VersionRecord) => {
    const there = (key: TreeKey) => isThere(parts.tree, key);
    const lookups: string[] = [];
    for (const database of Object.keys(record.sumdbRecords ?? {}))
      if (!(await there(lookupKey(database, record)))) lookups.push(database);
    const mod = await sameSize(parts.tree, modKey(record), record.modSize);
    const whole =
      record.held !== "whole" ||
      ((await sameSize(parts.tree, zipKey(record), record.zipSize)) && (await there(infoKey(record))));
    if (lookups.length === 0 && mod && whole) return;
    const held = mod && lookups.length === 0 ? "mod" : "nothing";
    lost.set(formatModuleVersion(record), { held, lookups });
  };
  const records = await parts.ledger.read(versions);
  const held = records.filter((record) => record?.state === "READY" && record.held !== "nothing");
  await Promise.all(held.map((record) => limit(async () => record && (await look(record)))));
  return lost;
}

async function isThere(tree: Tree, key: TreeKey): Promise<boolean> {
  const object = await tree.open(key);
  await object?.close();
  return object !== undefined;
}

/** An object of another size is not what was stored: it is fetched again, compared, and then in CONFLICT. */
async function sameSize(tree: Tree, key: TreeKey, size: number | undefined): Promise<boolean> {
  const object = await tree.open(key);
  await object?.close();
  return object !== undefined && (size === undefined || object.size === size);
}

/** The record as the tree has it; without its lookup the version is proven and published anew. */
export function withoutLost(record: VersionRecord | undefined, lost: Lost): VersionRecord | undefined {
  const found = record === undefined ? undefined : lost.get(formatModuleVersion(record));
  if (record === undefined || found === undefined || record.state !== "READY") return record;
  const { sumdbRecords = {}, ...rest } = record;
  const there = Object.entries(sumdbRecords).filter(([database]) => !found.lookups.includes(database));
  return {
    ...rest,
    held: found.held,
    ...(there.length === 0 ? {} : { sumdbRecords: Object.fromEntries(there) }),
  };
}
