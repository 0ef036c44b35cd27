import { z } from "zod";
import { FormatError } from "../../gomod/format-error.ts";
import { parseVerifierKey } from "../../sumdb/note.ts";
import type { Sha256 } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { escapeObeyed } from "../json-line.ts";
import { parseJson } from "../vulnerability.ts";

export const BUNDLE_FORMAT = "modferry-bundle/1";
export const BUNDLE_JSON = "bundle.json";
export const BUNDLE_NOTE = "bundle.json.note";
export const BUNDLE_README = "README.txt";

/** Signed heads have a few hundred bytes each, and there are few databases; all before the lists of packs and files. */
const LARGEST_HEAD_PART = 1024 * 1024;
/** A tree key has 2,048 characters at most. */
const LONGEST_LINE = 4096;

/** `<YYYYMMDDTHHMMSSZ>-<16 hex digits>`. */
const snapshotName = z.string().regex(/^\d{8}T\d{6}Z-[0-9a-f]{16}$/, "not a snapshot's name");
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "not a SHA-256")
  .transform((text) => text as Sha256);
const size = z.int().min(0);
/** Milliseconds since the epoch, up to the year 9999. */
const time = z.int().min(0).max(253_402_300_799_999);
const verifierKey = z
  .string()
  .max(500)
  .refine((text) => isVerifierKey(text), "not a verifier key");

const snapshotRef = z.strictObject({ name: snapshotName, hash: sha256, until: time });
const introduced = z.strictObject({
  key: verifierKey,
  notBefore: z.exactOptional(time),
  notAfter: z.exactOptional(time),
});

const headerShape = z.strictObject({
  format: z.literal(BUNDLE_FORMAT),
  name: z.string().regex(/^[0-9A-Za-z_-]{1,100}$/),
  kind: z.enum(["full", "increment", "needs"]),
  from: snapshotRef.nullable(),
  to: snapshotRef,
  signer: verifierKey,
  introduces: z.array(introduced).max(100),
  heads: z.record(z.string().max(500), z.string().max(10_000)),
  counts: z.strictObject({ modules: size, versions: size, files: size, bytes: size, removed: size }),
  readme: z.strictObject({ size, sha256 }),
});
const packShape = z.strictObject({
  name: z.string().regex(/^pack-\d{4,6}\.tar$/),
  size,
  sha256,
});
const fileShape = z.strictObject({ path: z.string().max(2048), size, sha256, pack: size, offset: size });

/** A snapshot as a bundle names it; `until` is its closed moment, in ms since the epoch. */
export type SnapshotRef = z.output<typeof snapshotRef>;
/** A key that a bundle's signer vouches for, to be trusted from then on. */
export type Introduced = z.output<typeof introduced>;
export type BundleHeader = z.output<typeof headerShape>;
export type BundlePack = z.output<typeof packShape>;
/** One file of a bundle: `pack` is its pack's place in the list, `offset` where its content begins there. */
export type BundleFile = z.output<typeof fileShape>;

function isVerifierKey(text: string): boolean {
  try {
    parseVerifierKey(text);
    return true;
  } catch (thrown) {
    if (thrown instanceof FormatError) return false;
    throw thrown;
  }
}

/** The name of the bundle from one snapshot to another: it sorts by time of its beginning. */
export function bundleName(from: string | undefined, to: string, kind: BundleHeader["kind"]): string {
  return `${kind === "needs" ? "needs_" : ""}${from ?? "full"}_${to}`;
}

/**
 * bundle.json, line by line: JSON as a whole, with one pack, one removed version and one file a line, so that it is read
 * and written in bounded memory whatever the bundle.
 */
export async function* printBundle(
  header: BundleHeader,
  packs: readonly BundlePack[],
  removed: AsyncIterable<string>,
  fileLines: AsyncIterable<string>,
): AsyncGenerator<string> {
  const head = Object.entries(header).map(
    ([field, value]) => `${JSON.stringify(field)}:${escapeObeyed(JSON.stringify(value))}`,
  );
  yield `{${head.join(",\n")},\n`;
  yield '"packs":[\n';
  yield* itemLines(packs.map(printPack));
  yield '],\n"removed":[\n';
  yield* itemLines(mapped(removed, (version) => JSON.stringify(version)));
  yield '],\n"files":[\n';
  yield* itemLines(fileLines);
  yield "]}\n";
}

const printPack = ({ name, size: bytes, sha256: hash }: BundlePack): string =>
  JSON.stringify({ name, size: bytes, sha256: hash });

/** A file's line, without the comma that follows all but the last. */
export function printFile({ path, size: bytes, sha256: hash, pack, offset }: BundleFile): string {
  return JSON.stringify({ path, size: bytes, sha256: hash, pack, offset });
}

async function* itemLines(items: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let before: string | undefined;
  for await (const item of items) {
    if (before !== undefined) yield `${before},\n`;
    before = item;
  }
  if (before !== undefined) yield `${before}\n`;
}

async function* mapped<T, U>(items: AsyncIterable<T>, map: (item: T) => U): AsyncGenerator<U> {
  for await (const item of items) yield map(item);
}

/** A bundle.json that is being read; its parts come in this order, each to be read to its end before the next. */
export interface BundleReader {
  readonly header: BundleHeader;
  readonly packs: readonly BundlePack[];
  removed(): AsyncGenerator<string>;
  files(): AsyncGenerator<BundleFile>;
}

/**
 * Reads bundle.json as printBundle writes it, in bounded memory. Attacker-controlled where its signature is not checked.
 * @throws MirrorError malformed naming the line and what is wrong with it.
 */
export async function readBundle(chunks: AsyncIterable<Uint8Array>, subject: string): Promise<BundleReader> {
  const lines = linesOf(chunks, subject);
  const { header, at } = await readHeader(lines, subject);
  const state = { at };
  const packs: BundlePack[] = [];
  for await (const line of section(lines, state, subject, '"removed":['))
    packs.push(parseLine(packShape, line, subject, state.at));
  return {
    header,
    packs,
    async *removed() {
      for await (const line of section(lines, state, subject, '"files":[')) {
        const version = parseLine(z.string().max(2048), line, subject, state.at);
        yield version;
      }
    },
    async *files() {
      for await (const line of section(lines, state, subject, undefined)) {
        const file = plainFile(line) ?? parseLine(fileShape, line, subject, state.at);
        if (file.pack >= packs.length) throw malformed(subject, state.at, "names a pack that is not listed");
        yield file;
      }
    },
  };
}

/** A line as printFile spells it; no digits that might not be exact as numbers. */
const PLAIN_FILE =
  /^\{"path":"([\x20\x21\x23-\x5b\x5d-\x7e]{0,2048})","size":(0|[1-9]\d{0,14}),"sha256":"([0-9a-f]{64})","pack":(0|[1-9]\d{0,14}),"offset":(0|[1-9]\d{0,14})\}$/;

/** What parseLine with fileShape gives, in a tenth of the time; undefined where it has to look. */
function plainFile(line: string): BundleFile | undefined {
  const [, path, bytes, hash, pack, offset] = PLAIN_FILE.exec(line) ?? [];
  if (path === undefined) return undefined;
  return { path, size: Number(bytes), sha256: hash as Sha256, pack: Number(pack), offset: Number(offset) };
}

async function readHeader(
  lines: AsyncIterator<string>,
  subject: string,
): Promise<{ header: BundleHeader; at: number }> {
  let text = "";
  for (let at = 1; ; at++) {
    const { value: line, done } = await lines.next();
    if (done === true) throw malformed(subject, at, "ends within its first fields");
    if (line === '"packs":[') {
      const json = Buffer.from(`${text.replace(/,\n$/, "")}}`);
      return { header: parseJson(headerShape, json, subject), at };
    }
    text += `${line}\n`;
    if (text.length > LARGEST_HEAD_PART) throw malformed(subject, at, "its first fields are too long");
  }
}

/** The items of one list; behind the last one its end, and the beginning of the next list. */
async function* section(
  lines: AsyncIterator<string>,
  state: { at: number },
  subject: string,
  next: string | undefined,
): AsyncGenerator<string> {
  const end = next === undefined ? "]}" : "],";
  let more = true;
  for (;;) {
    const { value: line, done } = await lines.next();
    state.at++;
    if (done === true) throw malformed(subject, state.at, "ends within a list");
    if (line === end) break;
    if (!more) throw malformed(subject, state.at, "has no comma before it");
    more = line.endsWith(",");
    yield more ? line.slice(0, -1) : line;
  }
  const { value: following, done } = await lines.next();
  state.at++;
  if (next === undefined ? done !== true : following !== next)
    throw malformed(subject, state.at, next === undefined ? "something follows its end" : `is not ${next}`);
}

function parseLine<T extends z.ZodType>(shape: T, line: string, subject: string, at: number): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw malformed(subject, at, "is not JSON", cause);
  }
  const parsed = shape.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw malformed(subject, at, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not understood"}`);
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>, subject: string): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  let at = 0;
  const limit = (line: string) => {
    at++;
    if (line.length > (at < 40 ? LARGEST_HEAD_PART : LONGEST_LINE))
      throw malformed(subject, at, "is too long");
    return line;
  };
  for await (const chunk of chunks) {
    rest += decoded(decoder, chunk, subject, at);
    const lines = rest.split("\n");
    rest = limit(lines.pop() ?? "");
    at--;
    for (const line of lines) yield limit(line);
  }
  if (rest !== "" || decoded(decoder, undefined, subject, at) !== "")
    throw malformed(subject, at + 1, "does not end in a newline");
}

function decoded(
  decoder: { decode: TextDecode },
  chunk: Uint8Array | undefined,
  subject: string,
  at: number,
): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (cause) {
    throw malformed(subject, at, "is not UTF-8", cause);
  }
}

type TextDecode = (chunk?: Uint8Array, options?: { stream: boolean }) => string;

function malformed(subject: string, line: number, what: string, cause?: unknown): MirrorError {
  return new MirrorError("malformed", subject, `${subject}: line ${line} ${what}`, { cause });
}
