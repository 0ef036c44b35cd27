import { posix } from "node:path";
import { parseGoMod } from "./go-mod.ts";
import { goVersionAtLeast } from "./go-version.ts";
import { checkFilePath } from "./module-path.ts";
import { isGoMod, MAX_GO_MOD_BYTES, MAX_LICENSE_BYTES, MAX_ZIP_BYTES } from "./zip-check.ts";
import { ModuleNames } from "./zip-names.ts";

/** What a listing finds; only a plain file can be in a module zip. */
export type FileKind = "file" | "symlink" | "directory" | "other";

/** One file that may go into a module zip (x/mod/zip, File). All of it is attacker-controlled. */
export interface ModuleFile {
  /** Below the module's root, with slashes; bytes that are no UTF-8 as `decodeUtf8` gives them. */
  readonly path: string;
  readonly kind: FileKind;
  /** In bytes; `read` must give as many. */
  readonly size: number;
  /** The content in pieces, which may be overwritten when the next is asked for. Only for plain files. */
  read(): AsyncIterable<Uint8Array>;
}

/** Why a file is left out, or may not be in a zip; `problem` in Go's words. */
export interface FileProblem {
  readonly path: string;
  readonly problem: string;
}

/** What becomes of each file, in the order of the list (x/mod/zip, CheckedFiles). */
export interface CheckedFiles {
  readonly valid: readonly ModuleFile[];
  readonly omitted: readonly FileProblem[];
  readonly invalid: readonly FileProblem[];
  /** Set where the valid files together are above 500 MiB. */
  readonly sizeProblem: string | undefined;
}

export const VENDORED = "file is in vendor directory";
export const NOT_REGULAR = "not a regular file";
const SYMLINK = "file is a symbolic link";
/** From this language version on the rules for vendor directories are other ones (go.dev/issue/63395, 37397). */
const VENDOR_RULES_CHANGED = "1.24";

/**
 * Decides which of these files make the module's zip (x/mod/zip, CheckFiles): files of nested modules, of vendored
 * packages and all that are no plain files are omitted; names that some system cannot hold, names that collide where
 * case does not count, and a go.mod or LICENSE above 16 MiB are invalid. Each path is told once.
 */
export async function checkFiles(files: readonly ModuleFile[]): Promise<CheckedFiles> {
  const { nested, language } = await readGoMods(files);
  const names = new ModuleNames();
  const told = new Set<string>();
  const valid: ModuleFile[] = [];
  const omitted: FileProblem[] = [];
  const invalid: FileProblem[] = [];
  const tell = (list: FileProblem[], path: string, problem: string) => {
    if (!told.has(path)) list.push({ path, problem });
    told.add(path);
  };
  let room = MAX_ZIP_BYTES;
  let sizeProblem: string | undefined;
  for (const file of files) {
    const { path, kind, size } = file;
    const unclean = uncleanPath(path);
    const omission = unclean === undefined ? omissionOf(path, nested, language) : undefined;
    const wrong = unclean ?? (omission === undefined ? nameProblem(path, kind, names) : undefined);
    if (wrong !== undefined) tell(invalid, path, wrong);
    else if (omission !== undefined) tell(omitted, path, omission);
    else if (kind !== "file") tell(omitted, path, kind === "symlink" ? SYMLINK : NOT_REGULAR);
    else {
      if (size >= 0 && size <= room) room -= size;
      else sizeProblem ??= `module source tree too large (max size is ${MAX_ZIP_BYTES} bytes)`;
      if (path === "go.mod" && size > MAX_GO_MOD_BYTES) tell(invalid, path, tooLarge(path, MAX_GO_MOD_BYTES));
      else if (path === "LICENSE" && size > MAX_LICENSE_BYTES)
        tell(invalid, path, tooLarge(path, MAX_LICENSE_BYTES));
      else valid.push(file);
    }
  }
  return { valid, omitted, invalid, sizeProblem };
}

/**
 * Whether the file lies in a vendored package, with the faults that older checksums depend on (x/mod/zip,
 * isVendoredPackage).
 * @param language as `languageVersion` gives it.
 */
export function isVendored(path: string, language: string): boolean {
  const isChanged = goVersionAtLeast(language, VENDOR_RULES_CHANGED);
  if (isChanged && path === "vendor/modules.txt") return true;
  if (path.startsWith("vendor/")) return path.includes("/", "vendor/".length);
  const inside = path.indexOf("/vendor/");
  if (inside < 0) return false;
  // Older language versions count from the path's beginning, so that pkg/vendor/vendor.go is left out too.
  return path.includes("/", isChanged ? inside + "/vendor/".length : "/vendor/".length);
}

/**
 * The language version of a root go.mod, such as 1.24 of `go 1.24.2`; empty where it has none or does not parse
 * (x/mod/zip, parseGoVers with go/version.Lang).
 */
export function languageVersion(goMod: Uint8Array): string {
  try {
    const { go = "" } = parseGoMod("go.mod", goMod, "lax");
    return /^\d+(?:\.\d+)?/.exec(go)?.[0] ?? "";
  } catch {
    return "";
  }
}

/** Where nested modules lie, as `dir/`, and the root's language version. */
async function readGoMods(files: readonly ModuleFile[]): Promise<{ nested: Set<string>; language: string }> {
  const nested = new Set<string>();
  let language = "";
  for (const file of files) {
    if (file.kind !== "file" || !isGoMod(file.path)) continue;
    nested.add(file.path.slice(0, file.path.lastIndexOf("/") + 1));
    if (file.path === "go.mod") language = languageVersion(await readSmall(file));
  }
  nested.delete("");
  return { nested, language };
}

/** A go.mod's bytes; none of one that is too large, which is refused later on. */
async function readSmall(file: ModuleFile): Promise<Uint8Array> {
  if (file.size > MAX_GO_MOD_BYTES) return new Uint8Array();
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of file.read()) {
    size += piece.length;
    if (size > MAX_GO_MOD_BYTES) return new Uint8Array();
    pieces.push(Uint8Array.from(piece));
  }
  return Buffer.concat(pieces);
}

function uncleanPath(path: string): string | undefined {
  const isClean = posix.normalize(path) === path && (path === "/" || !path.endsWith("/"));
  if (!isClean) return "file path is not clean";
  return path.startsWith("/") ? "file path is not relative" : undefined;
}

function omissionOf(path: string, nested: ReadonlySet<string>, language: string): string | undefined {
  if (isVendored(path, language)) return VENDORED;
  if (nested.size > 0) {
    for (let slash = path.lastIndexOf("/"); slash >= 0; slash = path.lastIndexOf("/", slash - 1)) {
      if (nested.has(path.slice(0, slash + 1))) return "file is in another module";
    }
  }
  // The go command leaves it out whatever the version control system.
  if (path === ".hg_archival.txt") return "file is inserted by 'hg archive' and is always omitted";
  return undefined;
}

function nameProblem(path: string, kind: FileKind, names: ModuleNames): string | undefined {
  try {
    checkFilePath(path);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (path !== "go.mod" && path.toLowerCase() === "go.mod") return "go.mod files must have lowercase names";
  return names.collision(path, kind === "directory");
}

function tooLarge(path: string, limit: number): string {
  return `${path} file too large (max size is ${limit} bytes)`;
}
