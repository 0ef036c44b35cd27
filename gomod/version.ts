import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import {
  checkPathMajor,
  comparePaths,
  escapeUpperCase,
  fileNameProblem,
  type ModulePath,
  modulePath,
  splitPathVersion,
  unescapeUpperCase,
} from "./module-path.ts";
import { build, canonicalSemver, compareSemver, isValidSemver } from "./semver.ts";

declare const checked: unique symbol;
/** A canonical module version: v1.2.3, v2.0.0+incompatible, or a pseudo-version. Made by `version`. */
export type Version = string & { readonly [checked]: "Version" };
/** A version as it stands in URLs and file names, upper-case letters escaped. */
export type EscapedVersion = string & { readonly [checked]: "EscapedVersion" };

/** One version of one module; the two belong together (module.Check). */
export interface ModuleVersion {
  readonly path: ModulePath;
  readonly version: Version;
}

const INCOMPATIBLE = "+incompatible";

/**
 * Checks that `text` is a canonical version, so that one version has one name.
 * @throws FormatError naming the canonical form where there is one.
 */
export function version(text: string): Version {
  const canonical = canonicalVersion(text);
  if (canonical === text && canonical !== "") return text as Version;
  const problem = isValidSemver(text) ? `not canonical, want ${canonical}` : "must be of the form v1.2.3";
  throw new FormatError(text, `version ${quote(text)} invalid: ${problem}`);
}

/**
 * The canonical form of a version: as `canonicalSemver`, but `+incompatible` stays (module.CanonicalVersion).
 * @returns the empty string where `text` is no semantic version.
 */
export function canonicalVersion(text: string): string {
  const canonical = canonicalSemver(text);
  return canonical !== text && build(text) === INCOMPATIBLE ? canonical + INCOMPATIBLE : canonical;
}

/** Whether the version is of a module without go.mod at v2 or above, so that its path has no major version. */
export function isIncompatible(text: Version): boolean {
  return text.endsWith(INCOMPATIBLE);
}

/** Ascending semantic precedence; equal ones by bytes, so that the order is total (semver.Sort). */
export function compareVersions(a: Version, b: Version): number {
  return compareSemver(a, b) || comparePaths(a, b);
}

/** The form for URLs and file names (module.EscapeVersion); a canonical version always has one. */
export function escapeVersion(canonical: Version): EscapedVersion {
  return escapeUpperCase(canonical) as EscapedVersion;
}

/**
 * Reads an escaped version, as it comes in a URL after percent-decoding.
 * @throws FormatError where it is malformed or not canonical; for branches and hashes see `unescapeRevision`.
 */
export function unescapeVersion(text: string): Version {
  return version(unescapeRevision(text));
}

/**
 * The escaped form of anything that may be asked as a version: a branch, a hash (module.EscapeVersion).
 * @throws FormatError where it cannot be a file name: it has a slash or a `!`, for one.
 */
export function escapeRevision(text: string): EscapedVersion {
  if (
    text.includes("!") ||
    !text.isWellFormed() ||
    fileNameProblem(text) !== undefined ||
    isBeyondAscii(text)
  ) {
    throw new FormatError(text, `version ${quote(text)} invalid: disallowed version string`);
  }
  return escapeUpperCase(text) as EscapedVersion;
}

/**
 * Reads the escaped form of a version, branch or hash (module.UnescapeVersion).
 * @throws FormatError `invalid escaped version "…"`.
 */
export function unescapeRevision(text: string): string {
  const revision = unescapeUpperCase(text);
  if (revision === undefined) throw new FormatError(text, `invalid escaped version ${quote(text)}`);
  const problem = fileNameProblem(revision);
  if (problem !== undefined) {
    throw new FormatError(text, `invalid escaped version ${quote(revision)}: ${problem}`);
  }
  return revision;
}

/**
 * Checks path and version, and that they belong together (module.Check, with the version canonical besides).
 * @throws FormatError naming the module and what is wrong.
 */
export function moduleVersion(path: string, text: string): ModuleVersion {
  const checkedPath = modulePath(path);
  try {
    const checkedVersion = version(text);
    checkPathMajor(text, splitPathVersion(path)?.pathMajor ?? "");
    return { path: checkedPath, version: checkedVersion };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`${path}@${text}`, `module ${path}: ${error.message}`);
  }
}

/** Whether a version can be this module's: its major version is the path's (module.CheckPathMajor). */
export function isVersionOf(path: ModulePath, version: Version): boolean {
  try {
    moduleVersion(path, version);
    return true;
  } catch {
    return false;
  }
}

/** `path@version`, as go prints it. */
export function formatModuleVersion(module: ModuleVersion): string {
  return `${module.path}@${module.version}`;
}

/**
 * Reads `path@version`.
 * @throws FormatError where there is no `@`, or as `moduleVersion`.
 */
export function parseModuleVersion(text: string): ModuleVersion {
  const at = text.indexOf("@");
  if (at < 0) throw new FormatError(text, `${quote(text)} names no version: want path@v1.2.3`);
  return moduleVersion(text.slice(0, at), text.slice(at + 1));
}

/** Paths by bytes, then versions by precedence (module.Sort); equal ones by bytes. */
export function compareModuleVersions(a: ModuleVersion, b: ModuleVersion): number {
  return comparePaths(a.path, b.path) || compareVersions(a.version, b.version);
}

/** Escaping is defined for ASCII only; x/mod answers letters beyond it with an internal error. */
function isBeyondAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return true;
  return false;
}
