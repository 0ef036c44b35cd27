import { FormatError } from "./format-error.ts";
import { decodeUtf8, fields } from "./go-unicode.ts";
import { isPseudoVersion } from "./pseudo-version.ts";
import { canonicalVersion, compareVersions, type Version } from "./version.ts";

/** What an upstream's `@v/list` says: canonical versions only, each once, sorted ascending. */
export interface VersionList {
  /** Releases and pre-releases: what go takes for the module's versions. */
  readonly versions: readonly Version[];
  /** Go passes these over, and lets a module that has no other version have the newest as its latest. */
  readonly pseudoVersions: readonly Version[];
  /** The second words of lines, verbatim and unchecked: RFC 3339 times where an upstream gives any. */
  readonly times: ReadonlyMap<Version, string>;
}

/** Ours (go has none): some 500,000 versions. */
export const MAX_LIST_BYTES = 16 * 1024 * 1024;

/**
 * Parses an upstream's `@v/list`: a version a line, a time may follow (cmd/go/internal/modfetch, proxyRepo.Versions).
 * Lines whose first word is no canonical version are passed over, as go does with what is no version.
 * @throws FormatError where it is larger than 16 MiB, or a page (HTML, XML) or JSON sent with status 200.
 */
export function parseVersionList(text: string | Uint8Array): VersionList {
  const size = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  if (size > MAX_LIST_BYTES) {
    throw new FormatError("@v/list", `@v/list: ${size} bytes, more than ${MAX_LIST_BYTES}`);
  }
  const source = typeof text === "string" ? text : decodeUtf8(text);
  if (/^\uFEFF?[ \t\r\n]*[<{[]/.test(source)) {
    throw new FormatError("@v/list", "@v/list is a page or JSON, not a list of versions");
  }
  const found = new Set<Version>();
  const times = new Map<Version, string>();
  for (let start = 0, end = 0; start < source.length; start = end + 1) {
    const newline = source.indexOf("\n", start);
    end = newline < 0 ? source.length : newline;
    if (end === start) continue;
    const [first, time] = fields(source.slice(start, end));
    if (first === undefined || canonicalVersion(first) !== first) continue;
    const listed = first as Version;
    found.add(listed);
    if (time !== undefined && !times.has(listed)) times.set(listed, time);
  }
  const sorted = [...found].sort(compareVersions);
  return {
    versions: sorted.filter((listed) => !isPseudoVersion(listed)),
    pseudoVersions: sorted.filter(isPseudoVersion),
    times,
  };
}

/** The text of an `@v/list`: each version once on a line of its own, ascending; empty where there is none. */
export function printVersionList(versions: Iterable<Version>): string {
  return [...new Set(versions)]
    .sort(compareVersions)
    .map((listed) => `${listed}\n`)
    .join("");
}
