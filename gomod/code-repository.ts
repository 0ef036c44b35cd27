import { FormatError } from "./format-error.ts";
import { unquote } from "./go-quote.ts";
import { decodeUtf8, isSpace, trimSpace } from "./go-unicode.ts";
import { type ModulePath, pathMajorPrefix, splitPathVersion } from "./module-path.ts";

/** A tag and the commit that it names, annotated or not. */
export interface Tag {
  readonly name: string;
  /** In hex. */
  readonly hash: string;
}

/** A commit as the repository tells it. */
export interface Commit {
  /** In hex, 40 or 64 digits. */
  readonly hash: string;
  /** When it was committed. */
  readonly time: Date;
  /** The tag by which it was asked for; undefined for a branch or a hash. */
  readonly tag: string | undefined;
}

/** What the rules ask of a repository (codehost.Repo). All that it answers is attacker-controlled. */
export interface CodeRepository {
  /** All tags, sorted by name. */
  readonly tags: readonly Tag[];
  /** A file of a commit; undefined where there is none. Of a symbolic link the target, as go reads it. */
  readFile(commit: string, path: string): Promise<Uint8Array | undefined>;
  /** The names of the tags whose commits are this one or its ancestors. */
  tagsUpTo(commit: string): Promise<readonly string[]>;
}

/** Which module of a repository is meant (modfetch.codeRepo). */
export interface CodeModule {
  readonly path: ModulePath;
  /** The module's directory without a `/vN` at its end, clean, empty for the root: `sub` for tags `sub/v1.2.3`. */
  readonly directory: string;
}

/** Where in the repository a module was found. */
export interface ModuleLocation {
  /** Clean, empty for the root; `CodeModule.directory`, or `vN` in it. */
  readonly directory: string;
  /** Undefined where there is none, which only the root of v0 and v1 may lack. */
  readonly goMod: Uint8Array | undefined;
}

/** The module's major version in its path: `/v2`, `.v2`, or empty. */
export function pathMajorOf(path: ModulePath): string {
  return splitPathVersion(path)?.pathMajor ?? "";
}

/**
 * Finds the directory that holds a module (codeRepo.findDir): for a path with `/vN` either the module's directory,
 * whose go.mod then must end in `/vN`, or `vN` in it; not both.
 * @throws FormatError naming the go.mod that is missing or belongs to another major version.
 */
export async function locateModule(
  repository: CodeRepository,
  module: CodeModule,
  commit: string,
): Promise<ModuleLocation> {
  const { path, directory } = module;
  const pathMajor = pathMajorOf(path);
  const refuse = (problem: string) => new FormatError(path, `module ${path} at commit ${commit}: ${problem}`);
  const first = joinPath(directory, "go.mod");
  const goMod = await repository.readFile(commit, first);
  const declared = declaredPath(goMod);
  const isFound =
    goMod !== undefined && (isMajor(declared, pathMajor) || mayReplaceGopkg(declared, pathMajor));
  let second: string | undefined;
  if (pathMajor.startsWith("/")) {
    second = joinPath(directory, pathMajor.slice(1), "go.mod");
    const inMajor = await repository.readFile(commit, second);
    const declaredInMajor = declaredPath(inMajor);
    if (inMajor !== undefined && isMajor(declaredInMajor, pathMajor)) {
      if (isFound) throw refuse(`${first} and ${second} both have ...${pathMajor} module paths; keep one`);
      return { directory: joinPath(directory, pathMajor.slice(1)), goMod: inMajor };
    }
    if (inMajor !== undefined) throw refuse(wrongPath(second, declaredInMajor, `non-...${pathMajor}`));
  }
  if (isFound) return { directory, goMod };
  const alone = second === undefined ? "" : ` (and ${second} does not exist)`;
  if (goMod !== undefined) {
    const wrong = pathMajor === "" ? "unexpected" : `non-...${pathMajor}`;
    throw refuse(wrongPath(first, declared, wrong) + alone);
  }
  // Without a go.mod only the root may be a module, of v0 or v1, or of gopkg.in.
  if (directory === "" && second === undefined) return { directory, goMod };
  throw refuse(`missing ${first}${second === undefined ? "" : ` and ${second}`}`);
}

function wrongPath(file: string, declared: string, wrong: string): string {
  return declared === ""
    ? `${file} is missing module path`
    : `${file} has ${wrong} module path ${JSON.stringify(declared)}`;
}

/** The go.mod of a module that has none (modfetch.LegacyGoMod); no module path needs quotes. */
export function legacyGoMod(path: ModulePath): Uint8Array {
  return Buffer.from(`module ${path}\n`);
}

/** Slash-separated elements, the empty ones left out (path.Join of clean ones). */
export function joinPath(...elements: readonly string[]): string {
  return elements.filter((element) => element !== "").join("/");
}

function declaredPath(goMod: Uint8Array | undefined): string {
  return goMod === undefined ? "" : scanModulePath(goMod);
}

/**
 * The path that the first `module` line of a go.mod names, without parsing the rest; empty where there is none
 * (modfile.ModulePath, which knows neither `module (` blocks nor block comments).
 */
export function scanModulePath(goMod: Uint8Array): string {
  for (const wholeLine of decodeUtf8(goMod).split("\n")) {
    const line = trimSpace(wholeLine.split("//", 1)[0] ?? "");
    if (!line.startsWith("module") || !isSpace(line.charCodeAt("module".length))) continue;
    const path = trimSpace(line.slice("module".length));
    if (path.startsWith('"')) return unquote(path) ?? "";
    return path.startsWith("`") ? (/^`([^`]*)`$/.exec(path)?.[1]?.replaceAll("\r", "") ?? "") : path;
  }
  return "";
}

/** Whether a module of this path may have the major version that `pathMajor` tells (modfetch.isMajor). */
function isMajor(path: string, pathMajor: string): boolean {
  const split = path === "" ? undefined : splitPathVersion(path);
  if (split === undefined) return false;
  if (pathMajor === "") return ["", "v0", "v1"].includes(pathMajorPrefix(split.pathMajor));
  return split.pathMajor !== "" && split.pathMajor.slice(1) === pathMajor.slice(1);
}

/** Forks of gopkg.in modules under a path without major version, which go once took by mistake (go.dev/issue/34254). */
function mayReplaceGopkg(path: string, pathMajor: string): boolean {
  return pathMajor === "" && path.startsWith("gopkg.in/");
}
