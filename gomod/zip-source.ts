import { FormatError } from "./format-error.ts";

/**
 * A zip that can be read anywhere; gomod/ opens nothing itself. `size` is the file's length in bytes.
 * `read` gives exactly `length` bytes from `offset` on; both lie within `size`, or there is a fault of ours.
 * It may answer at once or later. The bytes may be overwritten by the next read: nobody here keeps them longer.
 */
export interface ZipSource {
  readonly size: number;
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
}

/** A zip in memory: reads copy nothing and answer at once. */
export function bytesSource(bytes: Uint8Array): ZipSource {
  return {
    size: bytes.byteLength,
    read: (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** How much is read at once: of a file it makes few reads, and it bounds the memory of one pass. */
const WINDOW_BYTES = 1024 * 1024;

/**
 * The piece of a zip that is at hand, moved over the source from front to back.
 * Callers say what they need by `cover` and then read `bytes` at `offset - start`.
 */
export class ZipWindow {
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  readonly size: number;
  readonly #source: ZipSource;

  constructor(source: ZipSource) {
    this.#source = source;
    this.size = source.size;
  }

  /**
   * Brings `length` bytes from `offset` on into the window; the caller has checked that they lie within the zip.
   * @returns undefined where they are there already or the source answers at once, so that nobody waits for nothing.
   * @throws FormatError where the source ends early.
   */
  cover(offset: number, length: number): Promise<void> | undefined {
    if (offset >= this.start && offset + length <= this.start + this.bytes.length) return undefined;
    const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.size - offset);
    const answer = this.#source.read(offset, wanted);
    if (answer instanceof Uint8Array) {
      this.#move(offset, wanted, answer);
      return undefined;
    }
    return answer.then((bytes) => this.#move(offset, wanted, bytes));
  }

  #move(offset: number, wanted: number, bytes: Uint8Array): void {
    if (bytes.byteLength !== wanted) {
      throw new FormatError("zip", `zip ended early: ${bytes.byteLength} of ${wanted} bytes at ${offset}`);
    }
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.start = offset;
  }
}
