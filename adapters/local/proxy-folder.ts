import { once } from "node:events";
import { mkdir, mkdtemp, readdir, realpath, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { type Info, printInfo } from "../../gomod/info.ts";
import { MAX_LIST_BYTES, parseVersionList, printVersionList } from "../../gomod/list-file.ts";
import type { ModulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import { checkAndHashZip, MAX_GO_MOD_BYTES, MAX_ZIP_BYTES } from "../../gomod/zip-check.ts";
import { type CreatedZip, createModuleZip } from "../../gomod/zip-create.ts";
import type { ModuleFile } from "../../gomod/zip-rules.ts";
import { type Body, isSpool, sha256Of } from "../../mirror/body.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { infoKey, listKey, modKey, parseTreeKey, zipKey } from "../../mirror/tree-keys.ts";
import { TemporaryFolder } from "./durable-folder.ts";
import { codeOf, fileError } from "./file-error.ts";
import { FolderTree } from "./folder-tree.ts";
import { SpoolFolder } from "./spool-folder.ts";
import { zipChecker } from "./zip-checker.ts";

/** As many times a list is read again that another process has changed meanwhile. */
const MOST_ROUNDS = 20;

/** What one version is published with. */
export interface VersionParts {
  readonly module: ModuleVersion;
  readonly info: Info;
  readonly goMod: Uint8Array;
  readonly files: readonly ModuleFile[];
}

/**
 * Makes the zip of a version and writes its `.mod`, `.zip` and `.info` into a folder laid out as a GOPROXY, in this
 * order: a go command that finds the `.info` finds the rest. A version that is there stays as it is, and must be the
 * same one. Last, `@v/list` gets the versions that it lacks, but for pseudo-versions: go lists none. A crash leaves at most a folder `.modferry-…` besides whole files.
 * @throws FormatError as `createModuleZip`; MirrorError mismatch where the folder holds another content of this version.
 */
export async function publishVersion(
  folder: string,
  parts: VersionParts,
): Promise<CreatedZip & { readonly isNew: boolean }> {
  const root = await madeFolder(folder);
  const temporary = await mkdtemp(join(root, ".modferry-"));
  try {
    const { zip, body } = await zipInto(new SpoolFolder(temporary), parts);
    const tree = new FolderTree(root, new TemporaryFolder(temporary));
    try {
      const subject = formatModuleVersion(parts.module);
      // What was written is read back and checked as any zip from outside is.
      const { h1 } = await zipChecker.check(body, parts.module);
      if (h1 !== zip.h1)
        throw new MirrorError("transient", subject, `${subject}: its zip was damaged on the disk`);
      const isNew = await storeParts(root, tree, parts, body, zip);
      return { ...zip, isNew };
    } finally {
      if (isSpool(body)) await body.dispose();
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function storeParts(
  root: string,
  tree: FolderTree,
  parts: VersionParts,
  body: Body,
  zip: CreatedZip,
): Promise<boolean> {
  const { module, goMod } = parts;
  const mod = await tree.create(modKey(module), goMod, sha256Of(goMod));
  if (mod === "exists") {
    const stored = await tree.get(modKey(module), MAX_GO_MOD_BYTES);
    if (stored === undefined || !Buffer.from(stored.bytes).equals(goMod)) throw another(module, "go.mod");
  }
  const stored = await tree.create(zipKey(module), body, isSpool(body) ? body.sha256 : sha256Of(body));
  if (stored === "exists" && (await storedH1(tree, module)) !== zip.h1) throw another(module, "zip");
  const info = Buffer.from(printInfo(parts.info));
  // The first .info stays, as in a mirror: its time may be another one.
  const isNew = (await tree.create(infoKey(module), info, sha256Of(info))) === "created";
  await completeList(root, tree, module.path);
  return isNew;
}

/**
 * Adds the whole versions that the folder holds to the module's list. A replacement is conditional within this process
 * only, so it looks again after each: whoever replaces last finds all that was published by then, and whoever publishes
 * later replaces later.
 */
async function completeList(root: string, tree: FolderTree, path: ModulePath): Promise<void> {
  const key = listKey(path);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const published = await publishedVersions(root, path);
    const stored = await tree.get(key, MAX_LIST_BYTES);
    const versions = stored === undefined ? [] : parseVersionList(stored.bytes).versions;
    if (published.every((version) => versions.includes(version))) return;
    await tree.replace(key, Buffer.from(printVersionList([...versions, ...published])), stored?.etag);
  }
  throw new MirrorError("transient", key, `${key}: others keep changing it; run it again`);
}

/** Versions with all their files, but for pseudo-versions, which go does not list. */
async function publishedVersions(root: string, path: ModulePath): Promise<Version[]> {
  const folder = dirname(listKey(path));
  const names = new Set(await readdir(join(root, folder)));
  return [...names].flatMap((name) => {
    const entry = parseTreeKey(`${folder}/${name}`);
    if (entry?.kind !== "info" || isPseudoVersion(entry.version.version)) return [];
    const isWhole = [modKey, zipKey].every((keyOf) => names.has(basename(keyOf(entry.version))));
    return isWhole ? [entry.version.version] : [];
  });
}

async function storedH1(tree: FolderTree, module: ModuleVersion): Promise<string | undefined> {
  const found = await tree.open(zipKey(module));
  try {
    return found && (await checkAndHashZip(found, module)).h1;
  } finally {
    await found?.close();
  }
}

function another(module: ModuleVersion, what: string): MirrorError {
  const subject = formatModuleVersion(module);
  const problem = `the folder has another ${what} of this version, which must never change; take the next version`;
  return new MirrorError("mismatch", subject, `${subject}: ${problem}`);
}

/** Streams the zip into a spool: what is made waits for the disk. */
async function zipInto(spools: SpoolFolder, parts: VersionParts): Promise<{ zip: CreatedZip; body: Body }> {
  const through = new PassThrough({ highWaterMark: 1024 * 1024 });
  const spooling = spools.spool(through, MAX_ZIP_BYTES, formatModuleVersion(parts.module));
  const failed = spooling.then(() => {});
  failed.catch(() => {});
  try {
    const zip = await createModuleZip(parts.module, parts.files, async (bytes) => {
      if (!through.write(bytes)) await Promise.race([once(through, "drain"), failed]);
    });
    through.end();
    return { zip, body: await spooling };
  } catch (error) {
    through.destroy();
    await spooling.then(
      (body) => (isSpool(body) ? body.dispose() : undefined),
      () => {},
    );
    throw error;
  }
}

async function madeFolder(folder: string): Promise<string> {
  try {
    await mkdir(folder, { recursive: true });
    return await realpath(folder);
  } catch (thrown) {
    if (codeOf(thrown) === "EEXIST" || codeOf(thrown) === "ENOTDIR")
      throw misuse(folder, `${folder}: not a folder; name one, or one to be made`, thrown);
    throw fileError(thrown, folder);
  }
}
