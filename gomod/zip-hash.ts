import { createHash, hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { type H1, hash1 } from "./dirhash.ts";
import { DEFLATED, malformedEntry, STORED, type ZipDirectory, type ZipEntry } from "./zip-directory.ts";
import { checkContent, inflateEntry, inflateLarge } from "./zip-inflate.ts";
import { type ZipSource, ZipWindow } from "./zip-source.ts";

/** Entries above this, packed or unpacked, are read in pieces. */
const LARGE_BYTES = 1024 * 1024;
/** The piece in which a large entry is read. */
const PIECE_BYTES = 256 * 1024;
/** Work between two turns of the event loop, in bytes read and inflated: 10 ms or less. */
const TURN_BYTES = 2 * 1024 * 1024;
/** What one entry costs beyond its bytes, in bytes of work. */
const ENTRY_WORK_BYTES = 4096;

const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
/** Read ahead with a local header, for its name and extra. */
const LOCAL_AHEAD_BYTES = 1024;
const DESCRIPTOR_SIGNATURE = 0x08074b50;
const DESCRIPTOR_BYTES = 16;

const SHA256_OF_NOTHING = hash("sha256", "", "hex");

/**
 * Reads every entry once, in the order in which they lie in the file, verifies sizes and CRC-32, and hashes
 * (dirhash.HashZip with Hash1): only what Go would read is read. Memory is bounded whatever the zip holds; the event
 * loop gets a turn every 2 MiB of work.
 * @param keep the name of an entry whose content is wanted too; the caller has checked its size.
 * @throws FormatError beyond what Go refuses also for entries that share bytes with another or with the directory,
 * that reach past the end of the file, and for names given twice.
 */
export async function hashEntries(
  source: ZipSource,
  directory: ZipDirectory,
  keep?: string,
): Promise<{ h1: H1; kept: Uint8Array | undefined }> {
  const { entries } = directory;
  refuseDuplicates(entries);
  const window = new ZipWindow(source);
  const digests: string[] = new Array(entries.length);
  const kept: Uint8Array[] = [];
  let lastEnd = 0;
  let work = 0;
  for (const [index, entry] of inFileOrder(entries)) {
    const { headerOffset } = entry;
    if (headerOffset < 0 || headerOffset + LOCAL_BYTES > window.size) throw outside(entry);
    if (headerOffset < lastEnd) throw malformedEntry(entry.name, "overlaps the entry before it");
    const reach = LOCAL_BYTES + LOCAL_AHEAD_BYTES + Math.min(entry.compressedSize, LARGE_BYTES);
    const pending = window.cover(headerOffset, Math.min(reach, window.size - headerOffset));
    if (pending !== undefined) await pending;
    const start = dataStart(window, entry);
    lastEnd = start + entry.compressedSize;
    if (lastEnd > window.size) throw outside(entry);
    if (headerOffset < directory.end && lastEnd > directory.start) {
      throw malformedEntry(entry.name, "overlaps the central directory");
    }
    const digest = digestEntry(window, entry, start, entry.name === keep ? kept : undefined);
    digests[index] = typeof digest === "string" ? digest : await digest;
    work += entry.size + entry.compressedSize + ENTRY_WORK_BYTES;
    if (work >= TURN_BYTES) {
      work = 0;
      await setImmediate();
    }
  }
  const h1 = hash1(entries.map((entry, index) => ({ name: entry.name, sha256: digests[index] ?? "" })));
  return { h1, kept: kept.length === 0 ? undefined : Buffer.concat(kept) };
}

/**
 * The SHA-256 of one entry's content, in hex; the content also goes to `kept` where that is given.
 * Answers at once wherever it can: a promise for each of many thousand small entries would cost more than their hash.
 */
function digestEntry(
  window: ZipWindow,
  entry: ZipEntry,
  start: number,
  kept: Uint8Array[] | undefined,
): string | Promise<string> {
  if (entry.isDirectory) {
    if (entry.size !== 0) throw malformedEntry(entry.name, "a directory with content");
    return SHA256_OF_NOTHING;
  }
  if (entry.method !== DEFLATED && entry.method !== STORED) {
    throw malformedEntry(entry.name, `compressed by method ${entry.method}; Go reads 0 and 8 only`);
  }
  if (Math.max(entry.size, entry.compressedSize) > LARGE_BYTES)
    return digestLarge(window, entry, start, kept);
  const length = Math.min(entry.compressedSize + DESCRIPTOR_BYTES, window.size - start);
  const pending = window.cover(start, length);
  return pending === undefined
    ? digestSmall(window, entry, start, kept)
    : pending.then(() => digestSmall(window, entry, start, kept));
}

function digestSmall(
  window: ZipWindow,
  entry: ZipEntry,
  start: number,
  kept: Uint8Array[] | undefined,
): string {
  const at = start - window.start;
  const data = window.bytes.subarray(at, at + entry.compressedSize);
  checkDescriptor(window, entry, start + entry.compressedSize);
  const content = entry.method === STORED ? data : inflateEntry(entry, data);
  if (entry.method === STORED) checkContent(entry, data.length, crc32(data));
  kept?.push(Uint8Array.from(content));
  return hash("sha256", content, "hex");
}

/** The same for an entry that is read in pieces. */
async function digestLarge(
  window: ZipWindow,
  entry: ZipEntry,
  start: number,
  kept: Uint8Array[] | undefined,
): Promise<string> {
  const sha256 = createHash("sha256");
  const end = start + entry.compressedSize;
  const take = (piece: Uint8Array) => {
    sha256.update(piece);
    kept?.push(Uint8Array.from(piece));
  };
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end; at += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, end - at);
      const pending = window.cover(at, length);
      if (pending !== undefined) await pending;
      yield window.bytes.subarray(at - window.start, at - window.start + length);
      await setImmediate();
    }
  }
  if (entry.method === DEFLATED) {
    await inflateLarge(entry, pieces(), take);
  } else {
    let crc = 0;
    checkContent(entry, entry.compressedSize, entry.crc32);
    for await (const piece of pieces()) {
      crc = crc32(piece, crc);
      take(piece);
    }
    checkContent(entry, entry.compressedSize, crc);
  }
  const pending = window.cover(end, Math.min(DESCRIPTOR_BYTES, window.size - end));
  if (pending !== undefined) await pending;
  checkDescriptor(window, entry, end);
  return sha256.digest("hex");
}

/** Where the entry's data starts, by its local header, of which Go reads the signature and two lengths only. */
function dataStart(window: ZipWindow, entry: ZipEntry): number {
  const at = entry.headerOffset - window.start;
  if (window.bytes.readUInt32LE(at) !== LOCAL_SIGNATURE)
    throw malformedEntry(entry.name, "no local header at its place");
  const lengths = window.bytes.readUInt16LE(at + 26) + window.bytes.readUInt16LE(at + 28);
  return entry.headerOffset + LOCAL_BYTES + lengths;
}

/** Compares the CRC-32 in the descriptor behind the data, with or without its signature (readDataDescriptor). */
function checkDescriptor(window: ZipWindow, entry: ZipEntry, end: number): void {
  if (!entry.hasDescriptor) return;
  const at = end - window.start;
  const left = window.size - end;
  const signed = left >= 4 && window.bytes.readUInt32LE(at) === DESCRIPTOR_SIGNATURE;
  if (left < (signed ? DESCRIPTOR_BYTES : DESCRIPTOR_BYTES - 4)) throw outside(entry);
  if (window.bytes.readUInt32LE(signed ? at + 4 : at) !== entry.crc32) {
    throw malformedEntry(entry.name, "checksum error: its data descriptor differs from the directory");
  }
}

/** The entries with their index, by offset; module zips have them so already. */
function inFileOrder(entries: readonly ZipEntry[]): Iterable<[number, ZipEntry]> {
  let last = 0;
  const isOrdered = entries.every(({ headerOffset }) => {
    const follows = headerOffset >= last;
    last = headerOffset;
    return follows;
  });
  const indexed = entries.entries();
  return isOrdered ? indexed : [...indexed].sort(([, a], [, b]) => a.headerOffset - b.headerOffset);
}

function refuseDuplicates(entries: readonly ZipEntry[]): void {
  // Module zips have their names in order, mostly: then none is given twice.
  if (entries.every(({ name }, index) => index === 0 || (entries[index - 1]?.name ?? "") < name)) return;
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) throw malformedEntry(name, "the name is given twice");
    names.add(name);
  }
}

function outside(entry: ZipEntry): Error {
  return malformedEntry(entry.name, "lies outside the file, or reaches past its end");
}
