import { promisify } from "node:util";
import { constants, zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { formatModuleVersion, type ModuleVersion, moduleVersion } from "../gomod/version.ts";
import { ERROR_CLASSES, type ErrorClass, MirrorError } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { Vault } from "./ports.ts";
import type { Extent } from "./records.ts";
import { closureVaultKey } from "./requests.ts";

/** One version of a closure, and how much of it is needed. */
export interface Need {
  readonly version: ModuleVersion;
  readonly extent: Extent;
  /**
   * How much of that the request itself needs, where the rest is only for what upgrades lead to: what of the rest
   * cannot be had is not listed, and does not keep the request from being DONE. Absent: all of it.
   */
  readonly own?: "mod" | "nothing";
}

/** A version that may be listed as soon as all that its own closure needs is READY. */
export interface RootClosure {
  readonly root: ModuleVersion;
  readonly needs: readonly Need[];
}

/** Something that was asked for and is not in the closure's files: a wish that upstream cannot fulfil. */
export interface Unresolved {
  readonly subject: string;
  readonly class: ErrorClass;
  readonly message: string;
}

/** What a request comes to: written when it is resolved, read when it is settled. */
export interface ClosureFile {
  /** Sorted by module and version, each once. */
  readonly needs: readonly Need[];
  readonly roots: readonly RootClosure[];
  readonly unresolved: readonly Unresolved[];
  /** Of the needs, those whose go.mod could not be had: what only they require is not in here. */
  readonly unloaded: readonly ModuleVersion[];
}

/** Decompressed; a request of 10,000 roots of 1,000 modules each stays below. */
const LARGEST_CLOSURE = 256 * 1024 * 1024;

/** Damage then shows when it is read, wherever it is (zstd, ZSTD_c_checksumFlag). */
const WITH_CHECKSUM = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

const extent = z.enum(["mod", "whole"]);
const line = z.union([
  z.strictObject({
    module: z.string(),
    version: z.string(),
    extent,
    own: z.enum(["mod", "nothing"]).optional(),
  }),
  z.strictObject({
    root: z.strictObject({ module: z.string(), version: z.string() }),
    needs: z.array(z.tuple([z.int(), extent])),
  }),
  z.strictObject({ unloaded: z.int() }),
  z.strictObject({
    unresolved: z.string(),
    class: z.enum(ERROR_CLASSES),
    message: z.string(),
  }),
]);

/**
 * A line of JSON for each need; then for each root, its needs as numbers of those lines; then the numbers of what was
 * not loaded; then what is unresolved.
 */
export async function writeClosure(vault: Vault, request: RequestKey, closure: ClosureFile): Promise<void> {
  const numbers = new Map(closure.needs.map((need, number) => [formatModuleVersion(need.version), number]));
  const lines = [
    ...closure.needs.map(({ version, ...rest }) => ({
      module: version.path,
      version: version.version,
      ...rest,
    })),
    ...closure.roots.map(({ root, needs }) => ({
      root: { module: root.path, version: root.version },
      needs: needs.map((need) => [numbers.get(formatModuleVersion(need.version)), need.extent]),
    })),
    ...closure.unloaded.map((version) => ({ unloaded: numbers.get(formatModuleVersion(version)) })),
    ...closure.unresolved.map(({ subject, ...rest }) => ({ unresolved: subject, ...rest })),
  ];
  const text = lines.map((entry) => `${JSON.stringify(entry)}\n`).join("");
  await vault.put(closureVaultKey(request), await promisify(zstdCompress)(text, WITH_CHECKSUM));
}

/** @throws MirrorError malformed when the file is missing or damaged: resolving the request again writes it anew. */
export async function readClosure(vault: Vault, request: RequestKey): Promise<ClosureFile> {
  return await read(vault, request, parseLines);
}

/**
 * As readClosure, where the closure needs one of these, else undefined: of the others no more is parsed than it takes to
 * see that: a fifth of the CPU time (400 needs and 50 roots: 2 ms in place of 10).
 */
export async function readClosureWith(
  vault: Vault,
  request: RequestKey,
  isMeant: (version: ModuleVersion) => boolean,
): Promise<ClosureFile | undefined> {
  return await read(vault, request, (lines) => (namesOne(lines, isMeant) ? parseLines(lines) : undefined));
}

async function read<T>(
  vault: Vault,
  request: RequestKey,
  parse: (lines: readonly string[]) => T,
): Promise<T> {
  const key = closureVaultKey(request);
  const bytes = await vault.get(key, LARGEST_CLOSURE);
  if (bytes === undefined)
    throw new MirrorError("malformed", key, `${key}: not in the vault; hand the request in again`);
  try {
    const text = await promisify(zstdDecompress)(bytes, { maxOutputLength: LARGEST_CLOSURE });
    return parse(text.toString("utf8").split("\n").slice(0, -1));
  } catch (cause) {
    throw new MirrorError("malformed", key, `${key}: damaged; hand the request in again`, { cause });
  }
}

/** Needs come first in the file, a line each. */
function namesOne(lines: readonly string[], isMeant: (version: ModuleVersion) => boolean): boolean {
  for (const text of lines) {
    const { module, version } = JSON.parse(text) as { readonly module?: string; readonly version?: string };
    if (module === undefined || version === undefined) return false;
    if (isMeant(moduleVersion(module, version))) return true;
  }
  return false;
}

function parseLines(lines: readonly string[]): ClosureFile {
  const needs: Need[] = [];
  const roots: RootClosure[] = [];
  const unresolved: Unresolved[] = [];
  const unloaded: ModuleVersion[] = [];
  const needOf = (number: number): Need => {
    const need = needs[number];
    if (need === undefined) throw new Error(`need ${number} is no line of this file`);
    return need;
  };
  for (const text of lines) {
    const entry = line.parse(JSON.parse(text));
    if ("module" in entry) {
      const own = entry.own === undefined ? {} : { own: entry.own };
      needs.push({ version: moduleVersion(entry.module, entry.version), extent: entry.extent, ...own });
    } else if ("unresolved" in entry)
      unresolved.push({ subject: entry.unresolved, class: entry.class, message: entry.message });
    else if ("unloaded" in entry) unloaded.push(needOf(entry.unloaded).version);
    else {
      const own = entry.needs.map(([number, extent]) => ({ version: needOf(number).version, extent }));
      roots.push({ root: moduleVersion(entry.root.module, entry.root.version), needs: own });
    }
  }
  return { needs, roots, unresolved, unloaded };
}
