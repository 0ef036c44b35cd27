import { FormatError } from "./format-error.ts";
import type { ZipSource } from "./zip-source.ts";

/** Where the central directory of a zip lies, by the record at its end. Offsets and sizes in bytes. */
export interface ZipEnd {
  /** The directory's first header, counted from the first byte of the file. */
  readonly directoryStart: number;
  /** Where the end record says the directory starts; differs from `directoryStart` where bytes stand before the zip. */
  readonly directoryOffset: number;
  /** What is to be added to every offset in the directory; negative where the file lost bytes at its front. */
  readonly base: number;
  /** Number of headers; exact with zip64, else modulo 65536. */
  readonly records: number;
  readonly zip64: boolean;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const END64_LOCATOR_SIGNATURE = 0x07064b50;
const END64_LOCATOR_BYTES = 20;
const END64_SIGNATURE = 0x06064b50;
const END64_BYTES = 56;
/** How far from the file's end the end record is looked for, in two tries (archive/zip, readDirectoryEnd). */
const SEARCHED_BYTES = [1024, 65 * 1024] as const;

/**
 * Finds the end record just as Go's archive/zip does: the last signature whose comment fits, whatever follows it.
 * Other programs choose otherwise, so a zip may look different to them; only Go's view is hashed and served.
 * @throws FormatError where there is none, it is cut, names several disks, or points outside the file.
 */
export async function readZipEnd(source: ZipSource): Promise<ZipEnd> {
  const { tail, at, offset } = await findEnd(source);
  let diskNumbers = [tail.readUInt16LE(at + 4), tail.readUInt16LE(at + 6)];
  let recordsHere = tail.readUInt16LE(at + 8);
  let records = tail.readUInt16LE(at + 10);
  let directorySize = tail.readUInt32LE(at + 12);
  let directoryOffset = tail.readUInt32LE(at + 16);
  let endOffset = offset;
  let zip64 = false;
  // 0xffff for the size is no zip64 mark by the standard, but it is one to Go.
  if (records === 0xffff || directorySize === 0xffff || directoryOffset === 0xffffffff) {
    const end64Offset = await findEnd64(source, offset);
    if (end64Offset !== undefined) {
      if (end64Offset + END64_BYTES > source.size)
        throw malformed("zip64 end record past the end of the file");
      const end64 = asBuffer(await source.read(end64Offset, END64_BYTES));
      if (end64.readUInt32LE(0) !== END64_SIGNATURE) throw malformed("no zip64 end record at its place");
      diskNumbers = [end64.readUInt32LE(16), end64.readUInt32LE(20)];
      recordsHere = readSafe64(end64, 24, "number of entries");
      records = readSafe64(end64, 32, "number of entries");
      directorySize = readSafe64(end64, 40, "size of the directory");
      directoryOffset = readSafe64(end64, 48, "offset of the directory");
      endOffset = end64Offset;
      zip64 = true;
    }
  }
  if (diskNumbers.some((disk) => disk !== 0) || recordsHere !== records) {
    throw malformed("spread over several disks, which no module zip is");
  }
  const directoryStart = endOffset - directorySize;
  if (directoryStart < 0) throw malformed("directory larger than the file");
  return { directoryStart, directoryOffset, base: directoryStart - directoryOffset, records, zip64 };
}

/** Reads a 64-bit count or offset; none beyond 2^53 can be true of a file that exists. */
export function readSafe64(bytes: Buffer, at: number, what: string): number {
  const value = bytes.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${what} beyond any file's size`);
  return Number(value);
}

/** The tail of the file with the end record at `at`, which is `offset` in the file. */
async function findEnd(source: ZipSource): Promise<{ tail: Buffer; at: number; offset: number }> {
  for (const searched of SEARCHED_BYTES) {
    const length = Math.min(searched, source.size);
    const tail = asBuffer(await source.read(source.size - length, length));
    const at = lastEnd(tail);
    if (at >= 0) return { tail, at, offset: source.size - length + at };
    if (length === source.size) break;
  }
  throw malformed("not a zip: no end record (the file may be cut, or no zip at all)");
}

/** The last end signature, unless its comment is cut: Go then looks for no earlier one (findSignatureInBlock). */
function lastEnd(tail: Buffer): number {
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail[at] !== 0x50 || tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    return at + END_BYTES + tail.readUInt16LE(at + 20) <= tail.length ? at : -1;
  }
  return -1;
}

/** Where the zip64 end record lies, by the locator just before the end record; undefined where there is no locator. */
async function findEnd64(source: ZipSource, endOffset: number): Promise<number | undefined> {
  const offset = endOffset - END64_LOCATOR_BYTES;
  if (offset < 0) return undefined;
  const locator = asBuffer(await source.read(offset, END64_LOCATOR_BYTES));
  if (locator.readUInt32LE(0) !== END64_LOCATOR_SIGNATURE) return undefined;
  // Go then goes on without zip64; that reading and the standard's differ, so it is refused here.
  if (locator.readUInt32LE(4) !== 0 || locator.readUInt32LE(16) !== 1) {
    throw malformed("spread over several disks, which no module zip is");
  }
  return readSafe64(locator, 8, "offset of the zip64 end record");
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(problem: string): FormatError {
  return new FormatError("zip", `zip: ${problem}`);
}
