import { z } from "zod";
import type { Sha256 } from "../body.ts";
import type { TreeKey } from "../tree-keys.ts";
import { decodeKey } from "./checksum-manifest.ts";

/** What a job's report says of one file. */
export type ReportedFile = { readonly key: TreeKey } & (
  | { readonly sha256: Sha256; readonly etag: string }
  /** Its task failed; a text of S3's, of printable ASCII, and cut. */
  | { readonly failure: string; readonly isMissing: boolean }
);

/** A row has a key of 1,024 bytes at most, encoded, and a message; S3 says no bound of that. */
export const LONGEST_ROW = 64 * 1024;
const LONGEST_FAILURE = 300;

/**
 * Joins the pieces of a report's CSV into its rows. A line end within quotes belongs to its row. Attacker-controlled.
 * @throws RangeError where a row is longer than LONGEST_ROW.
 */
export async function* rowsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  const row = new OpenRow();
  for await (const chunk of chunks) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_ROW) throw new RangeError("a row is too long");
    for (const line of lines) {
      row.add(line);
      if (row.isOpen) continue;
      const text = row.take();
      if (text !== "" && text !== "\r") yield text.endsWith("\r") ? text.slice(0, -1) : text;
    }
  }
  row.add(rest);
  const last = row.take();
  if (last !== "") yield last;
}

/** A row whose lines come one by one; each is looked at once. */
class OpenRow {
  #lines: string[] = [];
  #length = 0;
  isOpen = false;

  add(line: string): void {
    this.#lines.push(line);
    this.#length += line.length + 1;
    if (this.#length > LONGEST_ROW) throw new RangeError("a row is too long");
    if (quotesIn(line) % 2 === 1) this.isOpen = !this.isOpen;
  }

  take(): string {
    const text = this.#lines.join("\n");
    this.#lines = [];
    this.#length = 0;
    this.isOpen = false;
    return text;
  }
}

const quotesIn = (text: string): number => {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) count++;
  return count;
};

/** Before the message: Bucket, Key, VersionId, TaskStatus, and HTTP status and error code, in whichever order. */
const FIELDS_BEFORE_MESSAGE = 6;

/** What Compute checksum says of an object (Amazon S3, Examples: S3 Batch Operations completion reports). */
const computed = z.object({
  checksum_base64: z.string().max(100),
  checksum_hex: z.string().max(200).optional(),
  etag: z.string().max(100).default(""),
  checksumAlgorithm: z.literal("SHA256"),
  checksumType: z.literal("FULL_OBJECT"),
});

/**
 * One row of a report. Attacker-controlled. The message of a failed task is not well-formed CSV in S3's own examples, so
 * it is all that stands behind the sixth comma. The columns' names say error code and HTTP status, the rows have them the
 * other way round: only that they are two is gone by.
 * @throws Error saying what is wrong with it, without its text.
 */
export function parseReportRow(row: string, bucket: string): ReportedFile {
  const fields: string[] = [];
  let at = 0;
  while (fields.length < FIELDS_BEFORE_MESSAGE) {
    const [field, next] = fieldAt(row, at);
    fields.push(field);
    at = next;
  }
  const [named, encoded = "", , status, ...codes] = fields;
  if (named !== bucket) throw new Error("names another bucket");
  const key = decodeKey(encoded);
  if (key === undefined) throw new Error("names no file of a GOPROXY tree");
  const message = unquoted(row.slice(at));
  switch (status?.toLowerCase()) {
    case "succeeded":
      return { key, ...parseComputed(message) };
    case "failed":
      return { key, ...failureOf(codes, message) };
    default:
      throw new Error("has a task status other than succeeded and failed");
  }
}

/** The field that begins there, and where the next one does. */
function fieldAt(row: string, from: number): [field: string, next: number] {
  if (row[from] !== '"') {
    const comma = row.indexOf(",", from);
    if (comma < 0) throw new Error("has fewer than seven columns");
    return [row.slice(from, comma), comma + 1];
  }
  const [quoted] = /"(?:[^"]|"")*"(?=,)/y.exec(row.slice(from)) ?? [];
  if (quoted === undefined) throw new Error("has quotes that do not end");
  return [unquoted(quoted), from + quoted.length + 1];
}

const unquoted = (field: string): string =>
  field.length >= 2 && field.startsWith('"') && field.endsWith('"')
    ? field.slice(1, -1).replaceAll('""', '"')
    : field;

function parseComputed(message: string): { readonly sha256: Sha256; readonly etag: string } {
  let json: unknown;
  try {
    json = JSON.parse(message);
  } catch {
    throw new Error("succeeded, and has no JSON for a result");
  }
  const parsed = computed.safeParse(json);
  if (!parsed.success) {
    const [field = ""] = parsed.error.issues[0]?.path ?? [];
    throw new Error(
      `succeeded, and its ${String(field) || "result"} is not that of a SHA-256 of a whole object`,
    );
  }
  const { checksum_base64, checksum_hex, etag } = parsed.data;
  const digest = Buffer.from(checksum_base64, "base64");
  if (digest.byteLength !== 32 || digest.toString("base64") !== checksum_base64)
    throw new Error("has a checksum_base64 that is no SHA-256");
  const sha256 = digest.toString("hex") as Sha256;
  if (checksum_hex !== undefined && checksum_hex.toLowerCase() !== sha256)
    throw new Error("has a checksum_hex that is not its checksum_base64");
  return { sha256, etag: printable(etag.replaceAll('"', "")) };
}

/** `Key not found`, code 404: as the documentation's example has it. */
function failureOf(codes: readonly string[], message: string) {
  const code = codes.find((text) => text !== "" && !/^\d+$/.test(text)) ?? "failed";
  const isMissing =
    /"errorCode""?\s*:\s*"?"?404\b/.test(message) || /\bNoSuchKey\b|\bKey not found\b/i.test(message);
  return { failure: printable(`${code}: ${message}`).slice(0, LONGEST_FAILURE), isMissing };
}

/** Lines that are sorted are ASCII without line ends; a log's line has no control characters either. */
const printable = (text: string): string => text.replace(/[^\x20-\x7e]+/g, " ").trim();
