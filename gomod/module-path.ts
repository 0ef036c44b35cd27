import { FormatError } from "./format-error.ts";
import { quote, quoteRune } from "./go-quote.ts";
import { isLetter } from "./go-unicode.ts";
import { splitPathVersion } from "./path-major.ts";

export { checkPathMajor, type PathVersion, pathMajorPrefix, splitPathVersion } from "./path-major.ts";
export { matchPrefixPatterns } from "./path-pattern.ts";

declare const checked: unique symbol;
/** A module path that Go accepts, such as `github.com/Azure/azure-sdk-for-go/v2`: ASCII only. Made by `modulePath`. */
export type ModulePath = string & { readonly [checked]: "ModulePath" };
/** A module path as it stands in URLs and file names: `github.com/!azure/…`; no upper-case letters. */
export type EscapedPath = string & { readonly [checked]: "EscapedPath" };

type Kind = "module" | "import" | "file";

/** What a path element may hold beside letters and digits (module.modPathOK, importPathOK, fileNameOK). */
const punctuation: Record<Kind, string> = {
  module: "-._~",
  import: "-._~+",
  file: "!#$%&()+,-.=@[]^_{}~ ",
};
const allowedAscii: Record<Kind, Uint8Array> = {
  module: asciiTable(punctuation.module),
  import: asciiTable(punctuation.import),
  file: asciiTable(punctuation.file),
};
/** File names that Windows reserves, whatever their case and ending (module.badWindowsNames). */
const reservedOnWindows = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])$/i;

/**
 * Checks a module path (module.CheckPath).
 * @throws FormatError `malformed module path "…": …`, with go's own words.
 */
export function modulePath(text: string): ModulePath {
  const problem = pathProblem(text, "module") ?? firstElementProblem(text);
  if (problem !== undefined) throw new FormatError(text, `malformed module path ${quote(text)}: ${problem}`);
  if (splitPathVersion(text) === undefined) {
    throw new FormatError(text, `malformed module path ${quote(text)}: invalid version`);
  }
  return text as ModulePath;
}

/**
 * Checks an import path (module.CheckImportPath): as a module path, but `+` is allowed and the first element is free.
 * @throws FormatError `malformed import path "…": …`.
 */
export function checkImportPath(text: string): void {
  const problem = pathProblem(text, "import");
  if (problem !== undefined) throw new FormatError(text, `malformed import path ${quote(text)}: ${problem}`);
}

/**
 * Checks the path of a file inside a module (module.CheckFilePath): Unicode letters and more punctuation are allowed.
 * @throws FormatError `malformed file path "…": …`.
 */
export function checkFilePath(text: string): void {
  const problem = pathProblem(text, "file");
  if (problem !== undefined) throw new FormatError(text, `malformed file path ${quote(text)}: ${problem}`);
}

/** What is wrong with one element of a file path, in go's words, or undefined (module.checkElem). */
export function fileNameProblem(name: string): string | undefined {
  return elementProblem(name, 0, name.length, "file");
}

/**
 * Escapes a module path for URLs and file names: each upper-case letter becomes `!` and its lower case,
 * so that trees survive case-insensitive storage (module.EscapePath).
 */
export function escapePath(path: ModulePath): EscapedPath {
  return escapeUpperCase(path) as EscapedPath;
}

/**
 * Reads an escaped module path, as it comes in a URL after percent-decoding (module.UnescapePath).
 * @throws FormatError `invalid escaped module path "…"`: a `!` before no lower-case letter, an upper-case letter,
 * or not a module path.
 */
export function unescapePath(text: string): ModulePath {
  const path = unescapeUpperCase(text);
  if (path === undefined) throw new FormatError(text, `invalid escaped module path ${quote(text)}`);
  try {
    return modulePath(path);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(text, `invalid escaped module path ${quote(text)}: ${error.message}`);
  }
}

/** `!` and the lower case for each upper-case letter; the same string where there is none. */
export function escapeUpperCase(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

/** The reverse of `escapeUpperCase`; undefined where the text cannot come from it or is not ASCII. */
export function unescapeUpperCase(text: string): string | undefined {
  let bangs = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x80 || (code >= 65 && code <= 90)) return undefined;
    if (code !== 33) continue;
    const next = text.charCodeAt(++at);
    if (!(next >= 97 && next <= 122)) return undefined;
    bangs++;
  }
  return bangs === 0 ? text : text.replace(/!./g, (pair) => pair.charAt(1).toUpperCase());
}

/** Orders text by its UTF-8 bytes, as Go compares strings; JavaScript's `<` puts U+E000 to U+FFFF above U+10000. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const unitA = a.charCodeAt(at);
    const unitB = b.charCodeAt(at);
    if (unitA === unitB) continue;
    const surrogateA = unitA >= 0xd800 && unitA <= 0xdfff;
    const surrogateB = unitB >= 0xd800 && unitB <= 0xdfff;
    if (surrogateA !== surrogateB && unitA >= 0xd800 && unitB >= 0xd800) return surrogateA ? 1 : -1;
    return unitA < unitB ? -1 : 1;
  }
  return Math.sign(a.length - b.length);
}

/** What is wrong with a path of this kind, in go's words and order (module.checkPath). */
function pathProblem(path: string, kind: Kind): string | undefined {
  if (!path.isWellFormed()) return "invalid UTF-8";
  if (path === "") return "empty string";
  if (kind !== "file" && path.startsWith("-")) return "leading dash";
  if (path.includes("//")) return "double slash";
  if (path.endsWith("/")) return "trailing slash";
  for (let start = 0; start <= path.length; ) {
    const slash = path.indexOf("/", start);
    const end = slash < 0 ? path.length : slash;
    const problem = elementProblem(path, start, end, kind);
    if (problem !== undefined) return problem;
    start = end + 1;
  }
  return undefined;
}

/** What is wrong with the element path[start:end] (module.checkElem). */
function elementProblem(path: string, start: number, end: number, kind: Kind): string | undefined {
  if (start === end) return "empty path element";
  const first = path.charCodeAt(start);
  if (first === 46) {
    let dots = start;
    while (dots < end && path.charCodeAt(dots) === 46) dots++;
    if (dots === end) return `invalid path element ${quote(path.slice(start, end))}`;
    if (kind === "module") return "leading dot in path element";
  }
  if (path.charCodeAt(end - 1) === 46) return "trailing dot in path element";
  const allowed = allowedAscii[kind];
  let shortEnd = -1;
  let tilde = -1;
  for (let at = start; at < end; at++) {
    const code = path.charCodeAt(at);
    if (code < 0x80) {
      if (allowed[code] === 0) return `invalid char ${quoteRune(code)}`;
      if (shortEnd < 0 && code === 46) shortEnd = at;
      if (shortEnd < 0 && code === 126) tilde = at;
      continue;
    }
    const codePoint = path.codePointAt(at) ?? code;
    if (kind !== "file" || !isLetter(codePoint)) return `invalid char ${quoteRune(codePoint)}`;
    if (codePoint > 0xffff) at++;
  }
  if (shortEnd < 0) shortEnd = end;
  const shortLength = shortEnd - start;
  if ((shortLength === 3 || shortLength === 4) && reservedOnWindows.test(path.slice(start, shortEnd))) {
    return `${quote(path.slice(start, shortEnd))} disallowed as path element component on Windows`;
  }
  if (kind !== "file" && tilde >= 0 && tilde < shortEnd - 1) {
    let digits = tilde + 1;
    while (digits < shortEnd && isDigit(path.charCodeAt(digits))) digits++;
    if (digits === shortEnd) return "trailing tilde and digits in path element";
  }
  return undefined;
}

/** What a module path's first element, by convention a domain name, breaks beyond the rules for all elements. */
function firstElementProblem(path: string): string | undefined {
  const slash = path.indexOf("/");
  const end = slash < 0 ? path.length : slash;
  let dotted = false;
  let wrong = -1;
  for (let at = 0; at < end; at++) {
    const code = path.charCodeAt(at);
    if (code === 46) dotted = true;
    else if (code !== 45 && !isDigit(code) && !(code >= 97 && code <= 122) && wrong < 0) wrong = code;
  }
  if (!dotted) return "missing dot in first path element";
  return wrong < 0 ? undefined : `invalid char ${quoteRune(wrong)} in first path element`;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function asciiTable(punctuationMarks: string): Uint8Array {
  const table = new Uint8Array(128);
  for (let code = 0; code < 128; code++) {
    const character = String.fromCharCode(code);
    if (/[0-9A-Za-z]/.test(character) || punctuationMarks.includes(character)) table[code] = 1;
  }
  return table;
}
