import { constants, createInflateRaw, type InflateRaw } from "node:zlib";

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

const NOTHING = Buffer.alloc(0);

/**
 * A zlib state and an output buffer that serve again and again, in this thread. A new state and buffer for each entry
 * cost as much again as its inflate, mostly in the garbage collector. Node has no public call for this: where it works
 * otherwise `open` says so, and the caller inflates by the public calls.
 * Every content is to be held against its size and CRC-32 afterwards, whoever inflated it.
 */
export class Inflater {
  readonly #stream: InflateRaw;
  readonly #internals: ZlibInternals;
  readonly #left: Uint32Array;
  #output: Buffer;

  /** @returns undefined where this Node lacks what is used here. */
  static open(outputBytes: number): Inflater | undefined {
    const stream = createInflateRaw();
    const { _handle: handle, _writeState: left } = stream as unknown as ZlibInternals;
    const isKnown = typeof handle?.writeSync === "function" && typeof handle.reset === "function";
    if (isKnown && left instanceof Uint32Array) return new Inflater(stream, left, outputBytes);
    stream.close();
    return undefined;
  }

  private constructor(stream: InflateRaw, left: Uint32Array, outputBytes: number) {
    stream.on("error", () => undefined);
    this.#stream = stream;
    this.#internals = stream as unknown as ZlibInternals;
    this.#left = left;
    this.#output = Buffer.allocUnsafeSlow(outputBytes);
  }

  /** What zlib refused; an error has closed the state, and another is to be opened. */
  get failure(): Error | undefined {
    if (this.#internals._handle) return undefined;
    return this.#stream.errored ?? new Error("inflate closed");
  }

  /**
   * The content where it has exactly `size` bytes and its stream is whole; it stays until the next call.
   * @returns undefined for all else; the state may then have failed.
   */
  whole(data: Uint8Array, size: number): Uint8Array | undefined {
    if (this.#output.length <= size) this.#output = Buffer.allocUnsafeSlow(2 * size);
    this.#internals._handle?.reset();
    // One byte of room more than wanted: it is left exactly where the stream ends with `size` bytes.
    const room = this.#write(constants.Z_FINISH, data, 0, size + 1);
    return room === 1 ? this.#output.subarray(0, size) : undefined;
  }

  /**
   * Inflates the next piece of a stream into pieces of content, each good until the next one is asked for.
   * After the last piece `end` must be asked too. Stops where the deflate stream ends or fails.
   */
  *piece(data: Uint8Array): Generator<Uint8Array> {
    yield* this.#pieces(constants.Z_NO_FLUSH, data);
  }

  /** What is left of the content; it fails where the deflate stream has not ended. */
  *end(): Generator<Uint8Array> {
    yield* this.#pieces(constants.Z_FINISH, NOTHING);
  }

  /** Whether the last piece was not used up, since the deflate stream ended before. */
  get hasEnded(): boolean {
    return this.#left[1] !== 0;
  }

  close(): void {
    this.#stream.close();
  }

  *#pieces(flush: number, data: Uint8Array): Generator<Uint8Array> {
    const size = this.#output.length;
    for (let offset = 0, room: number | undefined = 0; room === 0; ) {
      room = this.#write(flush, data, offset, size);
      if (room === undefined) return;
      offset = data.length - (this.#left[1] ?? 0);
      if (room < size) yield this.#output.subarray(0, size - room);
    }
  }

  /** @returns how much room is left of `size` in the output; undefined after an error. */
  #write(flush: number, data: Uint8Array, offset: number, size: number): number | undefined {
    const { _handle: handle } = this.#internals;
    if (!handle) return undefined;
    handle.writeSync(flush, data, offset, data.length - offset, this.#output, 0, size);
    return this.#internals._handle ? this.#left[0] : undefined;
  }
}
