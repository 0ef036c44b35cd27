import { FormatError } from "./format-error.ts";
import { quote, unquote } from "./go-quote.ts";
import { trimSpace } from "./go-unicode.ts";
import type { BlockHead, Line } from "./modfile-syntax.ts";
import { checkPathMajor, splitPathVersion } from "./path-major.ts";
import { canonicalVersion } from "./version.ts";

/**
 * The directives that go.mod and go.work share, and what all directives are made of
 * (golang.org/x/mod/modfile, rule.go). A directive that is wrong throws `DirectiveError` with go's words.
 */
export class DirectiveError extends Error {}

/** One replace line; a `new` without version is a directory. */
export interface Replace {
  readonly old: { readonly path: string; readonly version?: string };
  readonly new: { readonly path: string; readonly version?: string };
}

export interface Godebug {
  readonly key: string;
  readonly value: string;
}

const goVersionForm = /^[1-9][0-9]*\.(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))?(?:[a-z]+[0-9]+)?$/;
const laxGoVersionForm = /^v?([1-9][0-9]*\.(?:0|[1-9][0-9]*))[^0-9][^\n]*$/;

/** The version of a `go` line; in a dependency, `v1.2` and `1.2.junk` count as 1.2. */
export function parseGoLine(repeated: boolean, words: readonly string[], lax: boolean): string {
  if (repeated) throw new DirectiveError("repeated go statement");
  const [text] = words;
  if (words.length !== 1 || text === undefined) {
    throw new DirectiveError("go directive expects exactly one argument");
  }
  if (goVersionForm.test(text)) return text;
  const language = lax ? laxGoVersionForm.exec(text)?.[1] : undefined;
  if (language !== undefined) return language;
  throw new DirectiveError(`invalid go version '${text}': must match format 1.23.0`);
}

/** The name of a `toolchain` line: `default`, `go1`, or `go1.` and anything. */
export function parseToolchainLine(repeated: boolean, words: readonly string[]): string {
  if (repeated) throw new DirectiveError("repeated toolchain statement");
  const [name] = words;
  if (words.length !== 1 || name === undefined) {
    throw new DirectiveError("toolchain directive expects exactly one argument");
  }
  if (name === "default" || name === "go1" || name.startsWith("go1.")) return name;
  throw new DirectiveError(`invalid toolchain version '${name}': must match format go1.23.0 or default`);
}

/** `key=value` of a `godebug` line. */
export function parseGodebugLine(words: readonly string[]): Godebug {
  const [setting] = words;
  const equals = setting?.indexOf("=") ?? -1;
  if (words.length !== 1 || setting === undefined || equals < 0 || /["`',]/.test(setting)) {
    throw new DirectiveError("usage: godebug key=value");
  }
  return { key: setting.slice(0, equals), value: setting.slice(equals + 1) };
}

/** `old [version] => new [version]`. */
export function parseReplaceLine(words: readonly string[]): Replace {
  const arrow = words[1] === "=>" ? 1 : 2;
  const target = words.slice(arrow + 1);
  const [newWord, newVersionWord] = target;
  if (words[arrow] !== "=>" || newWord === undefined || target.length > 2) {
    throw new DirectiveError(
      "usage: replace module/path [v1.2.3] => other/module v1.4\n\t or replace module/path [v1.2.3] => ../local/directory",
    );
  }
  const path = parseString(words[0] ?? "");
  const pathMajor = splitPathVersion(path)?.pathMajor;
  if (pathMajor === undefined) throw new DirectiveError(`replace ${path}: invalid module path`);
  const old = arrow === 1 ? { path } : { path, version: parseVersion("replace", path, words[1] ?? "") };
  if (old.version !== undefined) checkMajor("replace", path, old.version, pathMajor);
  const newPath = parseString(newWord);
  if (newVersionWord !== undefined) {
    const version = parseVersion("replace", newPath, newVersionWord);
    if (!isDirectory(newPath)) return { old, new: { path: newPath, version } };
    throw new DirectiveError(`replacement module directory path ${quote(newPath)} cannot have version`);
  }
  if (!isDirectory(newPath)) {
    throw new DirectiveError(
      newPath.includes("@")
        ? "replacement module must match format 'path version', not 'path@version'"
        : "replacement module without version must be directory path (rooted or starting with . or ..)",
    );
  }
  if (newPath.includes("\\")) {
    throw new DirectiveError("replacement directory appears to be Windows path (on a non-windows system)");
  }
  return { old, new: { path: newPath } };
}

/** The path and version of a `require` or `exclude` line. */
export function parsePathAndVersion(
  verb: string,
  words: readonly string[],
): { path: string; version: string } {
  const [pathWord, versionWord] = words;
  if (words.length !== 2 || pathWord === undefined || versionWord === undefined) {
    throw new DirectiveError(`usage: ${verb} module/path v1.2.3`);
  }
  const path = parseString(pathWord);
  const version = parseVersion(verb, path, versionWord);
  const split = splitPathVersion(path);
  if (split === undefined) throw new DirectiveError("invalid module path");
  checkMajor(verb, path, version, split.pathMajor);
  return { path, version };
}

/** The single string of a `tool`, `ignore` or `use` line. */
export function parseOneString(words: readonly string[], usage: string): string {
  const [word] = words;
  if (words.length !== 1 || word === undefined) throw new DirectiveError(usage);
  return parseString(word);
}

/** What a word stands for: double-quoted strings are unquoted, other quotes are refused (modfile.parseString). */
export function parseString(word: string): string {
  const { value, problem } = readString(word);
  if (problem !== undefined) throw new DirectiveError(`invalid quoted string: ${problem}`);
  return value;
}

/** A version as written, or what is wrong with it; go leaves the versions of retract so in a dependency. */
export function readUnfixedVersion(verb: string, path: string, word: string): StringOrProblem {
  const { value, problem } = readString(word);
  if (problem === undefined) return { value };
  const subject = path === "" ? verb : `${verb} ${path}`;
  return { value, problem: `${subject}: version ${quote(word)} invalid: ${problem}` };
}

/** The canonical form of a version, as go reads it from a downloaded go.mod (modfile.parseVersion without a fixer). */
function parseVersion(verb: string, path: string, word: string): string {
  const { value, problem } = readUnfixedVersion(verb, path, word);
  if (problem !== undefined) throw new DirectiveError(problem);
  const canonical = canonicalVersion(value);
  if (canonical !== "") return canonical;
  throw new DirectiveError(`${verb} ${path}: version ${quote(value)} invalid: must be of the form v1.2.3`);
}

interface StringOrProblem {
  readonly value: string;
  readonly problem?: string;
}

function checkMajor(verb: string, path: string, version: string, pathMajor: string): void {
  try {
    checkPathMajor(version, pathMajor);
  } catch (error) {
    throw error instanceof FormatError ? new DirectiveError(`${verb} ${path}: ${error.message}`) : error;
  }
}

function readString(word: string): StringOrProblem {
  if (word.startsWith('"')) {
    const value = unquote(word);
    return value === undefined ? { value: "", problem: "invalid syntax" } : { value };
  }
  return /["'`]/.test(word)
    ? { value: "", problem: "unquoted string cannot contain quote" }
    : { value: word };
}

/** Whether go takes a replacement for a directory, on any system (modfile.IsDirectoryPath). */
function isDirectory(path: string): boolean {
  return path === "." || path === ".." || /^(?:\.\.?[/\\]|[/\\]|[A-Za-z]:)/.test(path);
}

/** The text of a directive's comments, or of its block's where it has none (modfile.parseDirectiveComment). */
export function commentText(line: Line, block: BlockHead | undefined): string {
  const own = [...line.before, ...line.suffix];
  const comments = own.length === 0 && block !== undefined ? block.before : own;
  return comments
    .filter((comment) => comment.startsWith("//"))
    .map((comment) => trimSpace(comment.slice(2)))
    .join("\n")
    .toWellFormed();
}
