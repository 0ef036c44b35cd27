import { FormatError } from "./format-error.ts";
import { decodeUtf8 } from "./go-unicode.ts";
import { type IndexStamp, indexStamp } from "./index-stamp.ts";
import { type ModuleVersion, moduleVersion } from "./version.ts";

/** One line of a module index: when it first saw this version. */
export interface IndexEntry {
  readonly version: ModuleVersion;
  /** Verbatim. */
  readonly stamp: IndexStamp;
}

/** One answer of a module index. */
export interface IndexPage {
  /** In the order sent. */
  readonly entries: readonly IndexEntry[];
  /** Lines with something on them, whether they could be read or not: whether the page is full. */
  readonly lines: number;
  /** Lines that name no version of a module; they hold up nothing. */
  readonly skipped: number;
  /** What was wrong with the first of these. */
  readonly firstProblem?: string;
}

/** The most that one answer holds, and what it holds where no `limit` is asked (facts: go-client, the module index). */
export const INDEX_PAGE_ENTRIES = 2_000;
/** Ours: a module path and a version are below 2,400 characters by the limits of URLs everywhere. */
const LONGEST_LINE = 4_096;
/** Ours: of an index that heeds no limit so many lines are read; the rest is asked for from there. */
const MOST_LINES = 10_000;

/**
 * Parses one answer of a module index: a JSON object {Path, Version, Timestamp} a line. Attacker-controlled.
 * A line that is too long, no JSON, or names no canonical version of a module is passed over and counted.
 * @throws FormatError where there are lines and none of them is such an object: a page or an error sent with status 200.
 */
export function parseIndexPage(bytes: Uint8Array): IndexPage {
  const text = decodeUtf8(bytes);
  const entries: IndexEntry[] = [];
  let lines = 0;
  let objects = 0;
  let skipped = 0;
  let firstProblem: string | undefined;
  for (let start = 0, end = 0; start < text.length && lines < MOST_LINES; start = end + 1) {
    const newline = text.indexOf("\n", start);
    end = newline < 0 ? text.length : newline;
    const long = end - start > LONGEST_LINE;
    const line = long ? "" : text.slice(start, end).trim();
    if (line === "" && !long) continue;
    lines++;
    try {
      if (long) throw new FormatError("index", `a line is longer than ${LONGEST_LINE} characters`);
      const object = parseObject(line);
      objects++;
      entries.push(parseEntry(object));
    } catch (thrown) {
      if (!(thrown instanceof FormatError)) throw thrown;
      skipped++;
      firstProblem ??= thrown.message;
    }
  }
  if (lines > 0 && objects === 0)
    throw new FormatError("index", "the answer is no module index: none of its lines is a JSON object");
  return { entries, lines, skipped, ...(firstProblem === undefined ? {} : { firstProblem }) };
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new FormatError("index", "a line is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new FormatError("index", "a line is no JSON object");
  return value as Record<string, unknown>;
}

function parseEntry({ Path: path, Version: version, Timestamp: stamp }: Record<string, unknown>): IndexEntry {
  if (typeof path !== "string" || typeof version !== "string" || typeof stamp !== "string")
    throw new FormatError("index", "a line lacks Path, Version or Timestamp");
  return { version: moduleVersion(path, version), stamp: indexStamp(stamp) };
}
