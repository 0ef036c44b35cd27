import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { misuse } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";

/** Finds out before the work is done whether its result can be written. @throws MirrorError misuse naming the path. */
export async function checkWritable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined && !found.isFile())
    throw misuse(path, `${path}: there already, and no file; name another`);
  const folder = dirname(path);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw misuse(
      path,
      `${path}: its folder is not there or not to be written to; make it, or name another`,
      cause,
    );
  }
}

/**
 * Writes a file in place of what is there: a reader sees the old one or all of the new one. A crash leaves at most a
 * hidden temporary file beside it.
 */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw fileError(cause, path);
  }
}
