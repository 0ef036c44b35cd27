import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { build, major } from "./semver.ts";

/** A module path split at its major version; `prefix + pathMajor` is the path again. */
export interface PathVersion {
  readonly prefix: string;
  /** `/v2` and up, or empty; for gopkg.in `.v0` and up, with `-unstable` where the path has it. */
  readonly pathMajor: string;
}

const GOPKG = "gopkg.in/";
const UNSTABLE = "-unstable";

/**
 * Splits the major version off a module path (module.SplitPathVersion).
 * @returns undefined where the ending breaks Go's rules, such as `/v1`, `/v02`, `/v2.3`, or gopkg.in without `.vN`.
 */
export function splitPathVersion(path: string): PathVersion | undefined {
  if (path.startsWith(GOPKG)) return splitGopkg(path);
  let start = path.length;
  let dotted = false;
  for (; start > 0; start--) {
    const code = path.charCodeAt(start - 1);
    if (code === 46) dotted = true;
    else if (!isDigit(code)) break;
  }
  const bare = start <= 1 || start === path.length;
  if (bare || !path.startsWith("/v", start - 2)) return { prefix: path, pathMajor: "" };
  const pathMajor = path.slice(start - 2);
  if (dotted || pathMajor.charAt(2) === "0" || pathMajor === "/v1") return undefined;
  return { prefix: path.slice(0, start - 2), pathMajor };
}

function splitGopkg(path: string): PathVersion | undefined {
  const end = path.endsWith(UNSTABLE) ? path.length - UNSTABLE.length : path.length;
  let start = end;
  while (start > 0 && isDigit(path.charCodeAt(start - 1))) start--;
  if (start <= 1 || !path.startsWith(".v", start - 2)) return undefined;
  const pathMajor = path.slice(start - 2);
  if (pathMajor.length <= 2 || (pathMajor.charAt(2) === "0" && pathMajor !== ".v0")) return undefined;
  return { prefix: path.slice(0, start - 2), pathMajor };
}

/**
 * The major version that tags must have for this path ending: `v2` of `/v2`, `v1` of `.v1-unstable`,
 * empty (v0 or v1) of an empty one (module.PathMajorPrefix).
 * @throws FormatError where `pathMajor` is none that `splitPathVersion` gives.
 */
export function pathMajorPrefix(pathMajor: string): string {
  if (pathMajor === "") return "";
  const prefix = withoutUnstable(pathMajor).slice(1);
  if (!/^[/.]/.test(pathMajor) || prefix !== major(prefix)) {
    throw new FormatError(
      pathMajor,
      `path ending ${quote(pathMajor)} names no major version: want /vN or .vN`,
    );
  }
  return prefix;
}

/**
 * Checks that a version belongs to a path with this ending: v2.1.0 to `/v2`, v0 and v1 to an empty one
 * (module.CheckPathMajor).
 * @throws FormatError `version "v2.0.0" invalid: should be v0 or v1, not v2`.
 */
export function checkPathMajor(version: string, pathMajor: string): void {
  const ending = withoutUnstable(pathMajor);
  // Old go commands wrote v0.0.0- pseudo-versions for gopkg.in's .v1; they are in published go.mod files.
  if (ending === ".v1" && version.startsWith("v0.0.0-")) return;
  const found = major(version);
  if (ending === "") {
    if (found === "v0" || found === "v1" || build(version) === "+incompatible") return;
  } else if (/^[/.]/.test(ending) && ending.slice(1) === found) return;
  const want = ending === "" ? "v0 or v1" : ending.replace(/^[/.]/, "");
  throw new FormatError(version, `version ${quote(version)} invalid: should be ${want}, not ${found}`);
}

function withoutUnstable(pathMajor: string): string {
  return pathMajor.startsWith(".v") && pathMajor.endsWith(UNSTABLE)
    ? pathMajor.slice(0, -UNSTABLE.length)
    : pathMajor;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}
