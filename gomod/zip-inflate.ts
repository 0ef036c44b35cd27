import { pipeline } from "node:stream/promises";
import { constants, crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import { malformedEntry, type ZipEntry } from "./zip-directory.ts";

/** The piece in which a large entry is inflated, so that its size does not matter for memory. */
const STREAMED_BYTES = 256 * 1024;
/** zlib of Node takes no smaller output buffers. */
const MIN_CHUNK_BYTES = 64;

/**
 * Inflates one entry in memory, bounded by its declared size, and verifies size and CRC-32. Bytes after the end of the
 * deflate stream are ignored, as Go does.
 * @returns bytes that stay only until the next call.
 * @throws FormatError naming the entry.
 */
export function inflateEntry(entry: ZipEntry, data: Uint8Array): Uint8Array {
  const content = reused.inflate(data, entry.size) ?? inflateOnce(entry, data);
  checkContent(entry, content.length, isCrcSet(entry) ? crc32(content) : 0);
  return content;
}

/**
 * Inflates one entry of any size in pieces, on zlib's own threads.
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
  let ended = false;
  try {
    await pipeline(
      async function* () {
        for await (const piece of pieces) {
          if (ended) return;
          yield piece;
        }
      },
      createInflateRaw({ chunkSize: STREAMED_BYTES }),
      async (content: AsyncIterable<Buffer>) => {
        for await (const piece of content) {
          length += piece.length;
          if (length > entry.size) checkContent(entry, length, crc);
          crc = crc32(piece, crc);
          take(piece);
        }
        ended = true;
      },
    );
  } catch (error) {
    throw inflateFailure(entry, error);
  }
  checkContent(entry, length, crc);
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

/** The part of Node's zlib streams that is not public and so may be missing or change. */
interface ZlibInternals {
  readonly _handle?: {
    reset(): void;
    writeSync(
      flush: number,
      input: Uint8Array,
      inputOffset: number,
      inputLength: number,
      output: Uint8Array,
      outputOffset: number,
      outputLength: number,
    ): void;
  } | null;
  /** Room left in the output, input left. */
  readonly _writeState?: Uint32Array;
}

/**
 * One zlib state and one output buffer for all entries: a new state and buffer for each costs a quarter of the whole
 * pass, mostly in the garbage collector. Node has no public call for this. So whatever is odd, be it the data or a
 * Node that works otherwise, answers undefined and is inflated again by the public call, which gives the verdict;
 * and every content is held against its size and CRC-32 afterwards, whoever inflated it.
 */
class ReusedInflate {
  #stream = ReusedInflate.#open();
  #output = Buffer.allocUnsafeSlow(MIN_CHUNK_BYTES * 1024);

  /** The content where it has exactly `size` bytes and its stream is whole; it stays until the next call. */
  inflate(data: Uint8Array, size: number): Uint8Array | undefined {
    const { _handle: handle, _writeState: state } = this.#stream;
    if (!handle || !state) return undefined;
    if (this.#output.length <= size) this.#output = Buffer.allocUnsafeSlow(2 * size);
    handle.reset();
    // One byte of room more than wanted: it is left exactly where the stream ends with `size` bytes.
    handle.writeSync(constants.Z_FINISH, data, 0, data.length, this.#output, 0, size + 1);
    if (!this.#stream._handle) {
      // An error has closed the state.
      this.#stream = ReusedInflate.#open();
      return undefined;
    }
    return state[0] === 1 ? this.#output.subarray(0, size) : undefined;
  }

  static #open(): ZlibInternals {
    const stream = createInflateRaw();
    stream.on("error", () => undefined);
    const internals = stream as unknown as ZlibInternals;
    const isKnown =
      typeof internals._handle?.writeSync === "function" &&
      typeof internals._handle.reset === "function" &&
      internals._writeState instanceof Uint32Array;
    return isKnown ? internals : {};
  }
}

const reused = new ReusedInflate();

function inflateOnce(entry: ZipEntry, data: Uint8Array): Buffer {
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
