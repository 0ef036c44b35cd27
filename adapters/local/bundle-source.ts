import { readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Sha256, sha256Of } from "../../mirror/body.ts";
import { BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README } from "../../mirror/bundle/bundle-json.ts";
import type { BundleSource } from "../../mirror/bundle/bundle-ports.ts";
import { misuse } from "../../mirror/errors.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { openFile } from "./bundle-target.ts";
import { codeOf, fileError } from "./file-error.ts";
import { LAYOUT_FILE } from "./oci-layout.ts";
import { isOfSystems } from "./oci-layout-files.ts";
import { layoutBundles } from "./oci-layout-source.ts";

/** How deep a bundle may lie below what was given: a folder of bundles, of volumes. */
const DEPTH = 2;
const MOST_FOLDERS = 10_000;

/**
 * The bundles in these folders: each may be one, a volume of one, an OCI image layout with some, or a folder of such.
 * Volumes with the same bundle.json and note are one bundle.
 * @throws MirrorError misuse where one of them has none.
 */
export async function findBundles(paths: readonly string[]): Promise<BundleSource[]> {
  const byContent = new Map<string, string[]>();
  const inLayouts = new Map<string, BundleSource>();
  for (const path of paths) {
    const folders = bundleFolders(path, DEPTH);
    if (folders.length === 0)
      throw misuse(
        path,
        `${path}: no bundle there: no ${BUNDLE_JSON}; name the folder that \`modferry export\` has made`,
      );
    for (const folder of folders) {
      if (isLayout(folder)) {
        for (const { content, source } of await layoutBundles(folder)) inLayouts.set(content, source);
        continue;
      }
      const id = `${await hashOf(join(folder, BUNDLE_JSON))} ${await hashOf(join(folder, BUNDLE_NOTE))}`;
      const known = byContent.get(id) ?? [];
      if (!known.some((one) => realpathSync(one) === realpathSync(folder))) known.push(folder);
      byContent.set(id, known);
    }
  }
  // A layout has all of a bundle.
  const inFolders = [...byContent].filter(([id]) => !inLayouts.has(id));
  return [...inFolders.map(([, folders]) => new FolderSource(folders)), ...inLayouts.values()];
}

function bundleFolders(path: string, depth: number): string[] {
  const names = entriesOf(path);
  if (names.includes(BUNDLE_JSON) || names.includes(LAYOUT_FILE)) return [path];
  if (depth === 0) return [];
  const found = names
    .filter(
      (name) => !name.startsWith(".") && statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory(),
    )
    .flatMap((name) => bundleFolders(join(path, name), depth - 1));
  if (found.length > MOST_FOLDERS) throw misuse(path, `${path}: too many folders; name the bundles' own`);
  return found;
}

function isLayout(folder: string): boolean {
  const names = entriesOf(folder);
  return names.includes(LAYOUT_FILE) && !names.includes(BUNDLE_JSON);
}

function entriesOf(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (codeOf(error) === "ENOENT")
      throw misuse(path, `${path}: no such folder; is the disc mounted?`, error);
    if (codeOf(error) === "EACCES") return [];
    throw fileError(error, path);
  }
}

async function hashOf(path: string): Promise<Sha256> {
  const stored = await openFile(path);
  if (stored === undefined) return sha256Of(new Uint8Array());
  try {
    return await sha256OfObject(stored);
  } finally {
    await stored.close();
  }
}

class FolderSource implements BundleSource {
  readonly name: string;
  readonly others: readonly string[];
  readonly #folders: readonly string[];

  constructor(folders: readonly string[]) {
    this.#folders = folders;
    this.name = folders[0] ?? "";
    const own = new Set([BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README]);
    this.others = folders.flatMap((folder) =>
      entriesOf(folder)
        .filter((name) => !own.has(name) && !name.startsWith(".") && !isOfSystems(name))
        .map((name) => join(folder, name)),
    );
  }

  async open(name: string): Promise<StoredObject | undefined> {
    const path = this.path(name);
    return path === undefined ? undefined : await openFile(path);
  }

  async *copies(name: string): AsyncGenerator<StoredObject> {
    for (const folder of this.#folders) {
      const stored = await openFile(join(folder, name));
      if (stored !== undefined) yield stored;
    }
  }

  path(name: string): string | undefined {
    return this.#folders
      .map((folder) => join(folder, name))
      .find((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
  }
}
