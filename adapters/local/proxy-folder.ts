import { once } from "node:events";
import { mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { type Info, printInfo } from "../../gomod/info.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { checkAndHashZip, MAX_GO_MOD_BYTES, MAX_ZIP_BYTES } from "../../gomod/zip-check.ts";
import { type CreatedZip, createModuleZip } from "../../gomod/zip-create.ts";
import type { ModuleFile } from "../../gomod/zip-rules.ts";
import { type Body, isSpool, sha256Of } from "../../mirror/body.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { infoKey, modKey, zipKey } from "../../mirror/tree-keys.ts";
import { TemporaryFolder } from "./durable-folder.ts";
import { codeOf, fileError } from "./file-error.ts";
import { FolderTree } from "./folder-tree.ts";
import { SpoolFolder } from "./spool-folder.ts";
import { zipChecker } from "./zip-checker.ts";

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
 * same one. `@v/list` is left alone. A crash leaves at most a folder `.modferry-…` besides whole files.
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
      const isNew = await storeParts(tree, parts, body, zip);
      return { ...zip, isNew };
    } finally {
      if (isSpool(body)) await body.dispose();
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function storeParts(
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
  return (await tree.create(infoKey(module), info, sha256Of(info))) === "created";
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
