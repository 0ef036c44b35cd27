import { type FileHandle, open } from "node:fs/promises";
import { whyUnread } from "../adapters/local/file-error.ts";
import { h1OfGoMod } from "../gomod/dirhash.ts";
import { FormatError } from "../gomod/format-error.ts";
import { hashZip, MAX_GO_MOD_BYTES } from "../gomod/zip-check.ts";
import { asMirrorError, MirrorError, misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import { shownName } from "./json-line.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * `modferry hash FILE…`: the h1: hash of each zip or go.mod, as `go.sum` has it, and the file's name.
 * @returns the exit status: 1 when a file's content is not what its name says, 2 when a file cannot be read.
 */
export async function hashFiles(
  options: Options,
  _environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (options.arguments.length === 0) throw misuse("FILE", "no file: give module zips or go.mod files");
  let status = 0;
  for (const file of options.arguments) {
    try {
      output.print(`${await hashFile(file)}  ${shownName(file)}`);
    } catch (thrown) {
      const error = unhashed(thrown, file);
      // A file that is not there, a folder: nothing was hashed because of how it was called.
      status = Math.max(status, error.class === "malformed" ? 1 : 2);
      output.error(`modferry: ${oneLine(error.message)}`);
    }
  }
  return status;
}

function unhashed(thrown: unknown, file: string): MirrorError {
  if (thrown instanceof FormatError || thrown instanceof MirrorError) return asMirrorError(thrown, file);
  return misuse(file, `${file}: ${whyUnread(thrown)}`, thrown);
}

async function hashFile(file: string): Promise<string> {
  if (!/\.(zip|mod)$/.test(file))
    throw misuse(file, `${file}: not named .zip or .mod; give a module zip or a go.mod`);
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    if (file.endsWith(".mod")) return h1OfGoMod(await goMod(handle, file));
    const read = async (offset: number, length: number) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return await hashZip({ size, read });
  } finally {
    await handle.close();
  }
}

/** No more than go itself takes, whatever the file's size says: a pipe or a device has none. */
async function goMod(handle: FileHandle, file: string): Promise<Buffer> {
  const room = Buffer.alloc(MAX_GO_MOD_BYTES + 1);
  let size = 0;
  for (;;) {
    const { bytesRead } = await handle.read(room, size, room.length - size);
    size += bytesRead;
    if (size === room.length) {
      const problem = `${file}: more than ${MAX_GO_MOD_BYTES} bytes, which no go.mod may have`;
      throw new MirrorError("malformed", file, problem);
    }
    if (bytesRead === 0) return room.subarray(0, size);
  }
}
