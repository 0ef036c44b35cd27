import { open, readFile } from "node:fs/promises";
import { h1OfGoMod } from "../gomod/dirhash.ts";
import { hashZip } from "../gomod/zip-check.ts";
import { asMirrorError, misuse } from "../mirror/errors.ts";
import type { CliEnvironment } from "./environment.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry hash FILE…`: the h1: hash of each zip or go.mod, as `go.sum` has it, and the file's name. */
export async function hashFiles(
  options: Options,
  _environment: CliEnvironment,
  output: Output,
): Promise<number> {
  if (options.arguments.length === 0) throw misuse("FILE", "no file: give module zips or go.mod files");
  let failed = false;
  for (const file of options.arguments) {
    try {
      output.print(`${await hashFile(file)}  ${file}`);
    } catch (thrown) {
      failed = true;
      output.error(`modferry: ${asMirrorError(thrown, file).message}`);
    }
  }
  return failed ? 1 : 0;
}

async function hashFile(file: string): Promise<string> {
  if (!file.endsWith(".zip")) return h1OfGoMod(await readFile(file));
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const read = async (offset: number, length: number) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    return await hashZip({ size, read });
  } finally {
    await handle.close();
  }
}
