import { parseVersionList, printVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { formatModuleVersion, type Version } from "../../gomod/version.ts";
import { MirrorError } from "../errors.ts";
import type { Tree } from "../ports.ts";
import { LARGEST_LIST } from "../publish.ts";
import { bestOf } from "../scrub/module-check.ts";
import { LARGEST_INFO } from "../store-files.ts";
import { infoKey, latestKey, listKey, type TreeKey } from "../tree-keys.ts";

/**
 * Makes a module's list and `@latest` say exactly this, whatever they said before. The list first: who falls back to
 * `@latest` while it says less is told of a version that can be had. A crash in between is mended by doing it again.
 * @param listed what they are to name, pseudo-versions for `@latest` alone; each is in the tree whole.
 * @param keep further versions that the list goes on naming where it names them.
 * @returns whether anything changed.
 * @throws MirrorError transient where an `.info` lacks in the tree.
 */
export async function setLists(
  tree: Tree,
  path: ModulePath,
  listed: readonly Version[],
  keep: (version: Version) => boolean = () => false,
): Promise<boolean> {
  const kept = await setList(tree, path, listed, keep);
  const latest = await setLatest(tree, path, [...listed, ...kept.more]);
  return kept.changed || latest;
}

async function setList(
  tree: Tree,
  path: ModulePath,
  listed: readonly Version[],
  keep: (version: Version) => boolean,
): Promise<{ readonly changed: boolean; readonly more: readonly Version[] }> {
  const key = listKey(path);
  for (;;) {
    const current = await tree.get(key, LARGEST_LIST);
    const more = current === undefined ? [] : namesOf(current.bytes).filter(keep);
    const versions = new Set([...listed.filter((version) => !isPseudoVersion(version)), ...more]);
    const bytes = new TextEncoder().encode(printVersionList([...versions]));
    if (current !== undefined && Buffer.from(current.bytes).equals(bytes)) return { changed: false, more };
    if ((await tree.replace(key, bytes, current?.etag)) === "replaced") return { changed: true, more };
  }
}

/** A list that does not parse names nothing. */
function namesOf(bytes: Uint8Array): readonly Version[] {
  try {
    return parseVersionList(bytes).versions;
  } catch {
    return [];
  }
}

async function setLatest(tree: Tree, path: ModulePath, listed: readonly Version[]): Promise<boolean> {
  const key = latestKey(path);
  for (;;) {
    const current = await tree.get(key, LARGEST_INFO);
    const best = await bestOf(
      tree,
      path,
      listed.map((version) => ({ version })),
    );
    if (best === undefined) {
      if (current === undefined) return false;
      if ((await tree.remove(key, current.etag)) === "removed") return true;
      continue;
    }
    const info = await tree.get(infoKey({ path, version: best.version }), LARGEST_INFO);
    if (info === undefined) throw lacks(infoKey({ path, version: best.version }), path, best.version);
    if (current !== undefined && Buffer.from(current.bytes).equals(info.bytes)) return false;
    if ((await tree.replace(key, info.bytes, current?.etag)) === "replaced") return true;
  }
}

function lacks(key: TreeKey, path: ModulePath, version: Version): MirrorError {
  const subject = formatModuleVersion({ path, version });
  return new MirrorError("transient", key, `${subject}: .info is not in the tree; bring it back first`);
}
