import { isUtf8 } from "node:buffer";
import { setImmediate } from "node:timers/promises";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { readSafe64, readZipEnd, type ZipEnd } from "./zip-end.ts";
import { type ZipSource, ZipWindow } from "./zip-source.ts";

/** One entry of a zip as its central directory tells it; sizes and offsets in bytes. Attacker-controlled. */
export interface ZipEntry {
  readonly name: string;
  /** A name that ends in `/`. Its data is never read (archive/zip, File.Open). */
  readonly isDirectory: boolean;
  readonly method: number;
  /** 0 stands for "not set" where no descriptor follows the data (archive/zip, checksumReader). */
  readonly crc32: number;
  readonly hasDescriptor: boolean;
  readonly compressedSize: number;
  readonly size: number;
  /** Of the local header, from the first byte of the file. */
  readonly headerOffset: number;
}

/** All entries of a zip in the directory's order, and where the directory itself lies. */
export interface ZipDirectory {
  readonly entries: readonly ZipEntry[];
  readonly start: number;
  readonly end: number;
}

export const STORED = 0;
export const DEFLATED = 8;

/** Ours, so that a zip of nothing but headers cannot fill the memory (0.8 KB an entry); Go has no such limit. */
export const MAX_ENTRIES = 250_000;

const HEADER_SIGNATURE = 0x02014b50;
const HEADER_BYTES = 46;
/** A header with the longest name, extra and comment that its 16-bit lengths can tell. */
const MAX_HEADER_BYTES = HEADER_BYTES + 3 * 0xffff;
const ZIP64_EXTRA = 0x0001;
const FLAG_ENCRYPTED = 0x0001;
const FLAG_DESCRIPTOR = 0x0008;
const MAX_UINT32 = 0xffffffff;
/** Headers read between two turns of the event loop, about 5 ms. */
const HEADERS_PER_TURN = 8192;

/** Empty, absolute, with a `..`, a backslash or a NUL. A newline is hash1's to refuse. */
const unsafeName = /^$|^\/|[\0\\]|(?:^|\/)\.\.(?:\/|$)/;

/**
 * Reads the central directory just as Go's archive/zip does: headers from its start until one is none, their number
 * then compared with the end record. Local headers are not read here.
 * @throws FormatError beyond what Go refuses also for encrypted entries, several disks, more than MAX_ENTRIES,
 * a wrong zip64 count, numbers above 2^53, and names that are no UTF-8, empty, absolute, or hold `..`, `\` or NUL.
 */
export async function readZipDirectory(source: ZipSource): Promise<ZipDirectory> {
  const end = await readZipEnd(source);
  const window = new ZipWindow(source);
  const base = (await isBaseWrong(window, end)) ? 0 : end.base;
  const start = base + end.directoryOffset;
  const entries: ZipEntry[] = [];
  let at = start;
  for (;;) {
    const pending = window.cover(at, Math.min(MAX_HEADER_BYTES, window.size - at));
    if (pending !== undefined) await pending;
    const header = readHeader(window, at, base);
    if (header === undefined) break;
    if (entries.push(header.entry) > MAX_ENTRIES) throw malformed(`more than ${MAX_ENTRIES} entries`);
    at += header.length;
    if (entries.length % HEADERS_PER_TURN === 0) await setImmediate();
  }
  const found = end.zip64 ? entries.length : entries.length % 0x10000;
  if (found !== end.records) {
    throw malformed(`${entries.length} entries found, but its end record tells of ${end.records}`);
  }
  return { entries, start, end: at };
}

/** Go's guess for files whose end record tells a wrong offset: a header where it would be without any base. */
async function isBaseWrong(window: ZipWindow, end: ZipEnd): Promise<boolean> {
  if (end.base <= 0) return false;
  await window.cover(end.directoryOffset, Math.min(MAX_HEADER_BYTES, window.size - end.directoryOffset));
  return readHeader(window, end.directoryOffset, 0) !== undefined;
}

/**
 * Reads the header at `at`, which the window covers as far as the file goes.
 * @returns undefined where the directory ends for Go: no signature, a cut header, or a zip64 extra that lacks a number.
 * @throws FormatError for a file that ends exactly here, and for what is refused beyond Go's rules.
 */
function readHeader(
  window: ZipWindow,
  at: number,
  base: number,
): { entry: ZipEntry; length: number } | undefined {
  const { bytes } = window;
  const from = at - window.start;
  const left = window.size - at;
  if (left === 0) throw malformed("the file ends within its directory");
  if (left < HEADER_BYTES || bytes.readUInt32LE(from) !== HEADER_SIGNATURE) return undefined;
  const nameLength = bytes.readUInt16LE(from + 28);
  const extraLength = bytes.readUInt16LE(from + 30);
  const length = HEADER_BYTES + nameLength + extraLength + bytes.readUInt16LE(from + 32);
  if (length > left) {
    if (left === HEADER_BYTES) throw malformed("the file ends within its directory");
    return undefined;
  }
  const nameStart = from + HEADER_BYTES;
  const numbers = readNumbers(bytes, from, nameStart + nameLength, extraLength);
  if (numbers === undefined) return undefined;
  const name = readName(bytes, nameStart, nameStart + nameLength);
  const flags = bytes.readUInt16LE(from + 8);
  if ((flags & FLAG_ENCRYPTED) !== 0) throw malformedEntry(name, "encrypted");
  const disk = bytes.readUInt16LE(from + 34);
  if (disk !== 0 && disk !== 0xffff) throw malformedEntry(name, "on another disk");
  const entry: ZipEntry = {
    name,
    isDirectory: name.endsWith("/"),
    method: bytes.readUInt16LE(from + 10),
    crc32: bytes.readUInt32LE(from + 16),
    hasDescriptor: (flags & FLAG_DESCRIPTOR) !== 0,
    compressedSize: numbers.compressedSize,
    size: numbers.size,
    headerOffset: numbers.headerOffset + base,
  };
  return { entry, length };
}

/** Sizes and offset, from the first zip64 extra where the header's own are all ones (archive/zip, readDirectoryHeader). */
function readNumbers(bytes: Buffer, from: number, extraStart: number, extraLength: number) {
  let compressedSize = bytes.readUInt32LE(from + 20);
  let size = bytes.readUInt32LE(from + 24);
  let headerOffset = bytes.readUInt32LE(from + 42);
  if (compressedSize !== MAX_UINT32 && size !== MAX_UINT32 && headerOffset !== MAX_UINT32) {
    return { compressedSize, size, headerOffset };
  }
  let needsSize = size === MAX_UINT32;
  let needsCompressedSize = compressedSize === MAX_UINT32;
  let needsHeaderOffset = headerOffset === MAX_UINT32;
  const extraEnd = extraStart + extraLength;
  for (let at = extraStart; at + 4 <= extraEnd; ) {
    const tag = bytes.readUInt16LE(at);
    let field = at + 4;
    const fieldEnd = field + bytes.readUInt16LE(at + 2);
    if (fieldEnd > extraEnd) break;
    at = fieldEnd;
    if (tag !== ZIP64_EXTRA) continue;
    if (needsSize) {
      if (field + 8 > fieldEnd) return undefined;
      size = readSafe64(bytes, field, "size of an entry");
      needsSize = false;
      field += 8;
    }
    if (needsCompressedSize) {
      if (field + 8 > fieldEnd) return undefined;
      compressedSize = readSafe64(bytes, field, "compressed size of an entry");
      needsCompressedSize = false;
      field += 8;
    }
    if (needsHeaderOffset) {
      if (field + 8 > fieldEnd) return undefined;
      headerOffset = readSafe64(bytes, field, "offset of an entry");
      needsHeaderOffset = false;
    }
  }
  // A size of all ones without zip64 is taken as it stands, as Go does; the other two are not.
  return needsCompressedSize || needsHeaderOffset ? undefined : { compressedSize, size, headerOffset };
}

function readName(bytes: Buffer, start: number, end: number): string {
  const name = bytes.toString("utf8", start, end);
  if (name.includes("\ufffd") && !isUtf8(bytes.subarray(start, end))) {
    throw malformedEntry(bytes.toString("latin1", start, end), "its name is not UTF-8");
  }
  if (unsafeName.test(name)) {
    throw malformedEntry(name, "its name is empty, absolute, or holds .., a backslash or NUL");
  }
  return name;
}

/** How much of a name goes into a message; names may have 65,535 bytes. */
const QUOTED_LENGTH = 200;

/** An error about one entry, its name quoted and cut. */
export function malformedEntry(name: string, problem: string): FormatError {
  const shown = name.length > QUOTED_LENGTH ? `${name.slice(0, QUOTED_LENGTH)}…` : name;
  return new FormatError(name, `zip entry ${quote(shown)}: ${problem}`);
}

function malformed(problem: string): FormatError {
  return new FormatError("zip", `zip: ${problem}`);
}
