/** Above this many waiting bytes the sender is held back: the kernel's own buffers keep the line busy meanwhile. */
const HIGH_WATER = 1 << 20;

/** Takes a body's chunks as they arrive and gives them to one slower reader, holding the sender back when needed. */
export class ChunkQueue implements AsyncIterable<Uint8Array> {
  readonly #hold: (held: boolean) => void;
  #chunks: Uint8Array[] = [];
  #waiting = 0;
  #held = false;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param hold told true when the sender shall wait, false when it may go on. */
  constructor(hold: (held: boolean) => void) {
    this.#hold = hold;
  }

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#waiting += chunk.byteLength;
    if (!this.#held && this.#waiting > HIGH_WATER) {
      this.#held = true;
      this.#hold(true);
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader gets what already came, then this error. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const chunks = this.#chunks;
      if (chunks.length > 0) {
        this.#chunks = [];
        this.#waiting = 0;
        yield* chunks;
        if (this.#held && this.#waiting <= HIGH_WATER) {
          this.#held = false;
          this.#hold(false);
        }
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
