import { FormatError } from "./format-error.ts";
import { decodeUtf8, fields } from "./go-unicode.ts";

/** Which file of a module version a hash is of: its go.mod, or its zip. */
export type HashedFile = "mod" | "zip";

/** One line of a go.sum. Path and version are as written: check them with `moduleVersion` before other use. */
export interface GoSumEntry {
  readonly path: string;
  readonly version: string;
  readonly kind: HashedFile;
  /** `h1:…`, or of an algorithm that neither go nor this program knows. */
  readonly hash: string;
}

export interface GoSum {
  /** In the file's order; lines that repeat are kept. */
  readonly entries: readonly GoSumEntry[];
  /** The hashes of one file of a module version: none, one, or several of which any may match. */
  hashes(path: string, version: string, kind: HashedFile): readonly string[];
}

/** Ours (go has none): a hundred times the largest go.sum known. */
export const MAX_GO_SUM_BYTES = 16 * 1024 * 1024;

/** The hash of an empty go.mod, which a bug of old go commands wrote for non-modules (modfetch.emptyGoModHash). */
const EMPTY_GO_MOD_HASH = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=";
const GO_MOD_SUFFIX = "/go.mod";

/**
 * Parses a go.sum as go reads it (cmd/go/internal/modfetch, readGoSum): three words a line, blank lines passed over.
 * @throws FormatError with go's message at the first line that has not three words, or where it is larger than 16 MiB.
 */
export function parseGoSum(fileName: string, text: string | Uint8Array): GoSum {
  const size = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  if (size > MAX_GO_SUM_BYTES) {
    throw new FormatError(fileName, `${fileName}: ${size} bytes, more than ${MAX_GO_SUM_BYTES}`);
  }
  const source = typeof text === "string" ? text : decodeUtf8(text);
  const entries: GoSumEntry[] = [];
  const byFile = new Map<string, Set<string>>();
  let line = 0;
  for (let start = 0; start < source.length; ) {
    line++;
    const newline = source.indexOf("\n", start);
    const end = newline < 0 ? source.length : newline;
    const words = fields(source.slice(start, end));
    start = end + 1;
    if (words.length === 0) continue;
    const [path, written, hash] = words;
    if (words.length !== 3 || path === undefined || written === undefined || hash === undefined) {
      const problem = `malformed go.sum:\n${fileName}:${line}: wrong number of fields ${words.length}`;
      throw new FormatError(fileName, problem, { line });
    }
    if (hash === EMPTY_GO_MOD_HASH) continue;
    const kind = written.endsWith(GO_MOD_SUFFIX) ? "mod" : "zip";
    const version = kind === "mod" ? written.slice(0, -GO_MOD_SUFFIX.length) : written;
    entries.push({ path, version, kind, hash });
    const key = `${path} ${written}`;
    const known = byFile.get(key);
    if (known === undefined) byFile.set(key, new Set([hash]));
    else known.add(hash);
  }
  return {
    entries,
    hashes: (path, version, kind) => [
      ...(byFile.get(`${path} ${version}${kind === "mod" ? GO_MOD_SUFFIX : ""}`) ?? []),
    ],
  };
}
