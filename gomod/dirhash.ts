import { createHash, hash } from "node:crypto";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { comparePaths } from "./module-path.ts";

declare const checked: unique symbol;
/** A directory hash as go.sum and the checksum database hold it: `h1:` and 32 bytes in padded base64. */
export type H1 = string & { readonly [checked]: "H1" };

/** One file of a hashed directory: its slash-separated name and the SHA-256 of its content, 32 bytes or 64 lower-case hex digits. */
export interface HashedFile {
  readonly name: string;
  readonly sha256: Uint8Array | string;
}

/** 43 base64 digits and one `=`; the last digit holds 4 bits only, so that one hash has one spelling. */
const h1Text = /^h1:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const SHA256_HEX_LENGTH = 64;
const surrogate = /[\ud800-\udfff]/;
/** How many summary lines go into the hash at once; bounds the memory of a long summary. */
const LINES_PER_UPDATE = 1024;

/**
 * The hash of a set of files (dirhash.Hash1): SHA-256 over one line `<sha256 in hex>  <name>\n` for each file,
 * the names sorted by their UTF-8 bytes.
 * @throws FormatError where a name holds a newline, or a digest has another length.
 */
export function hash1(files: Iterable<HashedFile>): H1 {
  const sorted = [...files];
  const isSpecial = sorted.some((file) => surrogate.test(file.name));
  if (isSpecial) sorted.sort((a, b) => comparePaths(a.name, b.name));
  else if (!isAscending(sorted)) sorted.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const summary = createHash("sha256");
  let lines = "";
  for (const [index, file] of sorted.entries()) {
    lines += summaryLine(file);
    if (index % LINES_PER_UPDATE === LINES_PER_UPDATE - 1) {
      summary.update(lines, "utf8");
      lines = "";
    }
  }
  return `h1:${summary.update(lines, "utf8").digest("base64")}` as H1;
}

/** The hash of a go.mod file, as go.sum's `/go.mod` lines hold it: Hash1 over the one name `go.mod`. */
export function h1OfGoMod(bytes: Uint8Array): H1 {
  return hash1([{ name: "go.mod", sha256: hash("sha256", bytes, "hex") }]);
}

/** Whether `text` is a well-formed `h1:` hash in its one canonical spelling. */
export function isH1(text: string): text is H1 {
  return h1Text.test(text);
}

/**
 * Reads an `h1:` hash.
 * @throws FormatError where it is anything else; other algorithms do not exist so far.
 */
export function parseH1(text: string): H1 {
  if (isH1(text)) return text;
  throw new FormatError(text, `hash ${quote(text)} invalid: want h1: and 32 bytes in base64`);
}

/** As the names of most module zips are; asking costs a third of sorting them again. */
function isAscending(files: readonly HashedFile[]): boolean {
  let last = "";
  for (const { name } of files) {
    if (name < last) return false;
    last = name;
  }
  return true;
}

function summaryLine(file: HashedFile): string {
  if (file.name.includes("\n")) {
    throw new FormatError(file.name, `file name ${quote(file.name)} invalid: a newline cannot be hashed`);
  }
  const hex = typeof file.sha256 === "string" ? file.sha256 : Buffer.from(file.sha256).toString("hex");
  if (hex.length !== SHA256_HEX_LENGTH) {
    throw new FormatError(file.name, `file ${quote(file.name)}: its digest is no SHA-256`);
  }
  return `${hex}  ${file.name}\n`;
}
