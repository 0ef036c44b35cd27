import { setImmediate } from "node:timers/promises";
import type { H1 } from "./dirhash.ts";
import { FormatError } from "./format-error.ts";
import { formatModuleVersion, type ModuleVersion } from "./version.ts";
import { malformedEntry, readZipDirectory, type ZipDirectory } from "./zip-directory.ts";
import { hashEntries } from "./zip-hash.ts";
import { ModuleNames } from "./zip-names.ts";
import type { ZipSource } from "./zip-source.ts";

/** Largest zip, and largest sum of its files unpacked (x/mod/zip, MaxZipFile). */
export const MAX_ZIP_BYTES = 500 * 1024 * 1024;
/** Largest go.mod in a zip (x/mod/zip, MaxGoMod). */
export const MAX_GO_MOD_BYTES = 16 * 1024 * 1024;
/** Largest LICENSE in a zip (x/mod/zip, MaxLICENSE). */
export const MAX_LICENSE_BYTES = 16 * 1024 * 1024;

/** Names checked between two turns of the event loop, about 5 ms. */
const NAMES_PER_TURN = 8192;

/** What a module zip was found to be. */
export interface CheckedZip {
  readonly h1: H1;
  /** The go.mod at the module's root; undefined where the module has none. */
  readonly goMod: Uint8Array | undefined;
  /** Number of entries, directories included. */
  readonly entries: number;
  /** Sum of the files unpacked, in bytes. */
  readonly uncompressed: number;
}

/**
 * Checks a module zip by all rules that the go command applies to a downloaded one (x/mod/zip CheckZip and Unzip),
 * and computes its `h1:` in the same pass. Gives the event loop a turn every 10 ms or so.
 * Needs about 10 MB besides 0.8 KB an entry, whatever the size.
 * @throws FormatError naming module, version and entry. What is refused beyond Go's rules is said at
 * `readZipDirectory` and `hashEntries`; nothing is accepted that Go refuses, and never with another hash.
 */
export async function checkAndHashZip(source: ZipSource, module: ModuleVersion): Promise<CheckedZip> {
  const subject = formatModuleVersion(module);
  try {
    refuseLarge(source);
    const directory = await readZipDirectory(source);
    const prefix = `${subject}/`;
    const uncompressed = await checkEntries(directory, prefix);
    const { h1, kept } = await hashEntries(source, directory, `${prefix}go.mod`);
    return { h1, goMod: kept, entries: directory.entries.length, uncompressed };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(subject, `${subject}: ${error.message}`);
  }
}

/**
 * The `h1:` of any zip that could be a module's, without the rules for names (dirhash.HashZip).
 * @throws FormatError as `readZipDirectory` and `hashEntries`, and above 500 MiB packed or unpacked.
 */
export async function hashZip(source: ZipSource): Promise<H1> {
  refuseLarge(source);
  const directory = await readZipDirectory(source);
  addSizes(directory);
  return (await hashEntries(source, directory)).h1;
}

/** CheckZip's rules for each entry, in its order. */
async function checkEntries(directory: ZipDirectory, prefix: string): Promise<number> {
  const uncompressed = addSizes(directory);
  const names = new ModuleNames();
  for (const [index, entry] of directory.entries.entries()) {
    if (index % NAMES_PER_TURN === NAMES_PER_TURN - 1) await setImmediate();
    if (!entry.name.startsWith(prefix)) {
      throw malformedEntry(entry.name, `does not begin with ${prefix}`);
    }
    if (entry.name.length === prefix.length) continue;
    const path = entry.name.slice(prefix.length, entry.isDirectory ? -1 : undefined);
    names.add(path, entry.isDirectory, entry.name);
    if (entry.isDirectory) continue;
    if (path !== "go.mod" && isGoMod(path)) {
      const problem = path.includes("/") ? "go.mod not in the module's root" : "go.mod must be in lower case";
      throw malformedEntry(entry.name, problem);
    }
    if (path === "go.mod") refuseAbove(MAX_GO_MOD_BYTES, entry);
    if (path === "LICENSE") refuseAbove(MAX_LICENSE_BYTES, entry);
  }
  return uncompressed;
}

function refuseLarge(source: ZipSource): void {
  if (source.size > MAX_ZIP_BYTES) {
    throw new FormatError("zip", `zip too large: ${source.size} bytes, at most ${MAX_ZIP_BYTES}`);
  }
}

/** The sum of the files' declared sizes; directories do not count (CheckZip). */
function addSizes(directory: ZipDirectory): number {
  let sum = 0;
  for (const entry of directory.entries) if (!entry.isDirectory) sum += entry.size;
  if (sum <= MAX_ZIP_BYTES) return sum;
  throw new FormatError("zip", `zip too large unpacked: ${sum} bytes, at most ${MAX_ZIP_BYTES}`);
}

function refuseAbove(limit: number, entry: { readonly name: string; readonly size: number }): void {
  if (entry.size > limit)
    throw malformedEntry(entry.name, `too large: ${entry.size} bytes, at most ${limit}`);
}

/** Whether the last element is go.mod in any case; no letter beyond ASCII folds to one of its letters. */
export function isGoMod(path: string): boolean {
  return path.length >= 6 && path.slice(path.lastIndexOf("/") + 1).toLowerCase() === "go.mod";
}
