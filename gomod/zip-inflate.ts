import { pipeline } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import { malformedEntry, type ZipEntry } from "./zip-directory.ts";
import { Inflater } from "./zip-inflater.ts";

/** The piece in which a large entry is inflated, so that its size does not matter for memory. */
const PIECE_BYTES = 256 * 1024;
/** Content inflated and taken between two turns of the event loop, about 5 ms. */
const TURN_BYTES = 2 * 1024 * 1024;
/** The first size of the output of entries inflated whole. */
const OUTPUT_BYTES = 64 * 1024;
/** zlib of Node takes no smaller output buffers. */
const MIN_CHUNK_BYTES = 64;

let reused = Inflater.open(OUTPUT_BYTES);

/**
 * Inflates one entry in memory, bounded by its declared size, and verifies size and CRC-32. Bytes after the end of the
 * deflate stream are ignored, as Go does.
 * @returns bytes that stay only until the next call.
 * @throws FormatError naming the entry.
 */
export function inflateEntry(entry: ZipEntry, data: Uint8Array): Uint8Array {
  const content = reused?.whole(data, entry.size) ?? inflateOnce(entry, data);
  checkContent(entry, content.length, isCrcSet(entry) ? crc32(content) : 0);
  return content;
}

/**
 * Inflates one entry of any size in pieces; `take` may keep none of them.
 * `pieces` are asked for one by one, each only after the one before is used up.
 * @throws FormatError naming the entry, as soon as it has more bytes than declared.
 */
export async function inflateLarge(
  entry: ZipEntry,
  pieces: AsyncIterable<Uint8Array>,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  let length = 0;
  let crc = 0;
  const takeChecked = (piece: Uint8Array) => {
    length += piece.length;
    if (length > entry.size) checkContent(entry, length, crc);
    crc = crc32(piece, crc);
    take(piece);
  };
  const inflater = Inflater.open(PIECE_BYTES);
  try {
    if (inflater === undefined) await inflateStreamed(pieces, takeChecked);
    else await inflateHere(inflater, pieces, takeChecked);
  } catch (error) {
    throw inflateFailure(entry, error);
  } finally {
    inflater?.close();
  }
  checkContent(entry, length, crc);
}

/** In this thread: by way of zlib's threads and a stream the same costs a quarter more CPU time, and 60 MB. */
async function inflateHere(
  inflater: Inflater,
  pieces: AsyncIterable<Uint8Array>,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  let work = 0;
  const takeAll = async (contents: Iterable<Uint8Array>) => {
    for (const content of contents) {
      take(content);
      work += content.length;
      if (work < TURN_BYTES) continue;
      work = 0;
      await setImmediate();
    }
    if (inflater.failure !== undefined) throw inflater.failure;
  };
  for await (const piece of pieces) {
    await takeAll(inflater.piece(piece));
    if (inflater.hasEnded) return;
  }
  await takeAll(inflater.end());
}

/** By the public streams, on zlib's own threads. */
async function inflateStreamed(
  pieces: AsyncIterable<Uint8Array>,
  take: (piece: Uint8Array) => void,
): Promise<void> {
  let ended = false;
  await pipeline(
    async function* () {
      for await (const piece of pieces) {
        if (ended) return;
        yield piece;
      }
    },
    createInflateRaw({ chunkSize: PIECE_BYTES }),
    async (content: AsyncIterable<Buffer>) => {
      for await (const piece of content) take(piece);
      ended = true;
    },
  );
}

/**
 * Compares what an entry holds with what the directory declares (archive/zip, checksumReader).
 * @throws FormatError naming the entry.
 */
export function checkContent(entry: ZipEntry, length: number, crc: number): void {
  if (length !== entry.size) {
    const problem = length > entry.size ? "more" : "less";
    throw malformedEntry(entry.name, `holds ${problem} than the declared ${entry.size} bytes`);
  }
  if (isCrcSet(entry) && crc !== entry.crc32) {
    throw malformedEntry(entry.name, "checksum error: its CRC-32 differs");
  }
}

/** Go takes a CRC-32 of 0 for "not set", unless a data descriptor tells it too. */
function isCrcSet(entry: ZipEntry): boolean {
  return entry.crc32 !== 0 || entry.hasDescriptor;
}

/** By the public call, for whatever is odd: be it the data or this Node, it gives the verdict. */
function inflateOnce(entry: ZipEntry, data: Uint8Array): Buffer {
  if (reused?.failure !== undefined) reused = Inflater.open(OUTPUT_BYTES);
  try {
    return inflateRawSync(data, {
      chunkSize: Math.max(MIN_CHUNK_BYTES, entry.size + 1),
      maxOutputLength: Math.max(1, entry.size),
    });
  } catch (error) {
    throw inflateFailure(entry, error);
  }
}

function inflateFailure(entry: ZipEntry, error: unknown): unknown {
  if (!isInflateError(error)) return error;
  const problem =
    error.code === "ERR_BUFFER_TOO_LARGE"
      ? `holds more than the declared ${entry.size} bytes`
      : `does not inflate: ${error.message}`;
  return malformedEntry(entry.name, problem);
}

/** The codes by which Node says that the data, not the machine, is at fault. */
const inflateErrors = new Set(["Z_DATA_ERROR", "Z_BUF_ERROR", "Z_NEED_DICT", "ERR_BUFFER_TOO_LARGE"]);

function isInflateError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && inflateErrors.has(String(error.code));
}
