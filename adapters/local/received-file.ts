import { linkSync } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { type Sha256, type Spool, sha256Stream } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { syncFile, type TemporaryFolder } from "./durable-folder.ts";
import { codeOf } from "./file-error.ts";
import { OpenFile, openPlainFile } from "./plain-file.ts";

/** A spool as a finished temporary file: linked on the same file system, else copied. */
export async function receiveSpool(
  folder: TemporaryFolder,
  key: string,
  spool: Spool,
  sha256: Sha256,
): Promise<string> {
  if (spool.sha256 !== sha256) throw damaged(key, sha256);
  const temporary = folder.name();
  try {
    linkSync(spool.path, temporary);
  } catch (error) {
    if (codeOf(error) !== "EXDEV" && codeOf(error) !== "ENOENT") throw error;
    await copy(spool, temporary);
  }
  try {
    await syncFile(temporary);
    if ((await sha256OfFile(temporary, key)) !== sha256) throw damaged(key, sha256);
  } catch (error) {
    await discard(temporary);
    throw error;
  }
  return temporary;
}

/** Removes a temporary file, unless a rename has already moved it; what stays behind, the next run sweeps. */
export async function discard(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

export function damaged(key: string, sha256: Sha256): MirrorError {
  return new MirrorError("transient", key, `${key}: damaged on the way; its SHA-256 is not ${sha256}`);
}

async function copy(spool: Spool, path: string): Promise<void> {
  const file = await open(path, "wx", 0o644);
  try {
    for await (const chunk of spool.stream()) await file.appendFile(chunk);
  } finally {
    await file.close();
  }
}

async function sha256OfFile(path: string, key: string): Promise<Sha256> {
  const opened = await openPlainFile(path);
  if (opened === undefined)
    throw new MirrorError("transient", key, `${key}: its temporary file has vanished`);
  const file = new OpenFile(opened.handle, opened.stat.size, "", key);
  try {
    const running = sha256Stream();
    for await (const chunk of file.stream()) running.update(chunk);
    return running.digest();
  } finally {
    await file.close();
  }
}
