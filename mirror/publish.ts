import { isLegacyGoMod } from "../gomod/go-mod.ts";
import { parseInfo } from "../gomod/info.ts";
import { parseVersionList, printVersionList } from "../gomod/list-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../gomod/version.ts";
import { latestOf } from "../gomod/version-query.ts";
import { MirrorError } from "./errors.ts";
import type { JournalEntry } from "./ledger-entries.ts";
import type { MirrorParts } from "./parts.ts";
import { dependable } from "./records.ts";
import { LARGEST_GO_MOD, LARGEST_INFO } from "./store-files.ts";
import { infoKey, latestKey, listKey, modKey } from "./tree-keys.ts";
import { changeOf } from "./update.ts";

/** A module has some thousands of versions at most; a list of ours is refused above this. */
export const LARGEST_LIST = 16 * 1024 * 1024;

type PublishParts = Pick<MirrorParts, "tree" | "ledger" | "now" | "report">;

/**
 * Makes sure that a held module has a list, if an empty one: a 404 there would stop the client's fall-back to
 * `@latest` at a static tree (facts: go-client).
 */
export async function ensureList(parts: Pick<MirrorParts, "tree">, path: ModulePath): Promise<void> {
  // `changed` means that someone else was first, which is as good.
  if ((await parts.tree.get(listKey(path), LARGEST_LIST)) === undefined) {
    await parts.tree.replace(listKey(path), new Uint8Array(), undefined);
  }
}

/**
 * Adds versions to `@v/list` and `@latest`, then notes them as listed in ledger and journal. The caller has seen
 * that each is whole and its closure READY. A crash in between leaves them listed in the tree but not in the ledger;
 * settling the request again adds nothing to the tree and notes them.
 */
export async function publish(parts: PublishParts, path: ModulePath, add: readonly Version[]): Promise<void> {
  await extendList(parts, path, add);
  await moveLatest(parts, path, add);
  const taken = await noteListed(parts, path, add);
  // Blocked or collected since the caller has seen it. A crash before this leaves a version listed that the block's own second look
  // takes off again (mirror/block.ts).
  if (taken.length > 0) await unpublish(parts, path, taken);
}

/**
 * Takes versions off `@v/list` and `@latest`; where nothing is left for `@latest`, that goes. The caller notes it in
 * the ledger. Doing it again changes nothing.
 */
export async function unpublish(
  parts: Pick<PublishParts, "tree" | "ledger">,
  path: ModulePath,
  remove: readonly Version[],
): Promise<void> {
  await shrinkList(parts, path, remove);
  await moveLatest(parts, path, [], remove);
}

async function shrinkList(
  { tree }: Pick<PublishParts, "tree">,
  path: ModulePath,
  remove: readonly Version[],
): Promise<void> {
  const key = listKey(path);
  for (;;) {
    const current = await tree.get(key, LARGEST_LIST);
    if (current === undefined) return;
    const before = parseVersionList(current.bytes).versions;
    const versions = before.filter((version) => !remove.includes(version));
    if (versions.length === before.length) return;
    const bytes = new TextEncoder().encode(printVersionList(versions));
    if ((await tree.replace(key, bytes, current.etag)) === "replaced") return;
  }
}

async function extendList(
  parts: Pick<PublishParts, "tree">,
  path: ModulePath,
  add: readonly Version[],
): Promise<void> {
  const key = listKey(path);
  for (;;) {
    const current = await parts.tree.get(key, LARGEST_LIST);
    const versions = new Set<Version>(current === undefined ? [] : parseVersionList(current.bytes).versions);
    const before = versions.size;
    for (const version of add) if (!isPseudoVersion(version)) versions.add(version);
    if (current !== undefined && versions.size === before) return;
    const bytes = new TextEncoder().encode(printVersionList([...versions]));
    if ((await parts.tree.replace(key, bytes, current?.etag)) === "replaced") return;
  }
}

/**
 * `@latest` is the `.info` of the best version that the list, `@latest` itself or the ledger names: of two workers at
 * once, whichever comes last sees what the other has published, since each reads `@latest` before all else.
 */
async function moveLatest(
  parts: Pick<PublishParts, "tree" | "ledger">,
  path: ModulePath,
  add: readonly Version[],
  remove: readonly Version[] = [],
): Promise<void> {
  const key = latestKey(path);
  const hasGoMod = async (version: Version) => await hasOwnGoMod(parts, { path, version });
  for (;;) {
    const current = await parts.tree.get(key, LARGEST_INFO);
    const known = new Set(add);
    if (current !== undefined) known.add(parseInfo(current.bytes).version);
    const list = await parts.tree.get(listKey(path), LARGEST_LIST);
    for (const version of list === undefined ? [] : parseVersionList(list.bytes).versions) known.add(version);
    for (const record of await parts.ledger.readModule(path)) if (record.listed) known.add(record.version);
    for (const version of remove) known.delete(version);
    const best = await latestOf(known, hasGoMod);
    if (best === undefined) {
      if (current === undefined || (await parts.tree.remove(key, current.etag)) === "removed") return;
      continue;
    }
    const info = await parts.tree.get(infoKey({ path, version: best }), LARGEST_INFO);
    if (info === undefined) throw notInTree({ path, version: best }, ".info");
    if (current !== undefined && Buffer.from(current.bytes).equals(info.bytes)) return;
    if ((await parts.tree.replace(key, info.bytes, current?.etag)) === "replaced") return;
  }
}

async function hasOwnGoMod(parts: Pick<PublishParts, "tree">, version: ModuleVersion): Promise<boolean> {
  const goMod = await parts.tree.get(modKey(version), LARGEST_GO_MOD);
  if (goMod === undefined) throw notInTree(version, ".mod");
  return !isLegacyGoMod(version.path, goMod.bytes);
}

function notInTree(version: ModuleVersion, file: string): MirrorError {
  const subject = formatModuleVersion(version);
  return new MirrorError(
    "transient",
    subject,
    `${subject}: ${file} is not in the tree; run \`modferry verify\``,
  );
}

/** @returns those that may not be listed any more. */
async function noteListed(
  parts: PublishParts,
  path: ModulePath,
  add: readonly Version[],
): Promise<readonly Version[]> {
  let open = [...add];
  const taken: Version[] = [];
  while (open.length > 0) {
    const records = (await parts.ledger.read(open.map((version) => ({ path, version })))).filter(
      (record) => record !== undefined && !record.listed,
    );
    const changes = records.flatMap((record) => {
      if (record === undefined) return [];
      if (dependable(record) !== "whole") {
        taken.push(record.version);
        return [];
      }
      const journal: JournalEntry = {
        event: "listed",
        version: { path, version: record.version },
        at: parts.now(),
      };
      const { awaited: _awaited, ...rest } = record;
      return [changeOf(record, { ...rest, listed: true }, journal)];
    });
    const written = await parts.ledger.write(changes);
    open = [];
    written.forEach((result, at) => {
      const version = changes[at]?.record.version;
      if (version === undefined) return;
      if (result === "changed") open.push(version);
      else parts.report({ event: "listed", version: { path, version } });
    });
  }
  return taken;
}
