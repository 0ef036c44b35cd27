import { type Body, isSpool, SPOOL_LIMIT } from "../../mirror/body.ts";
import { asMirrorError, EVIDENCE_LIMIT, MirrorError } from "../../mirror/errors.ts";
import { ChunkQueue } from "./chunk-queue.ts";

/** Receives a body too large for memory: SpoolFolder.spool of adapters/local has this shape. */
export type SpoolChunks = (
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  subject?: string,
) => Promise<Body>;

/** What a body tells the transfer that feeds it. */
export interface BodyOwner {
  /** The spool is full of chunks (true) or takes more again (false). */
  hold(held: boolean): void;
  /** The spool gave up, before the body's end. */
  fail(error: MirrorError): void;
}

/** A body on its way in: in memory up to SPOOL_LIMIT, beyond that through a spool where there is one. */
export class ReplyBody {
  readonly #subject: string;
  readonly #limit: number;
  readonly #spool: SpoolChunks | undefined;
  readonly #owner: BodyOwner;
  #size = 0;
  #chunks: Uint8Array[] = [];
  #whole: Buffer | undefined;
  #queue: ChunkQueue | undefined;
  #spooled: Promise<Body> | undefined;

  /** @param length what Content-Length says, at most `limit`. */
  constructor(
    subject: string,
    limit: number,
    length: number | undefined,
    spool: SpoolChunks | undefined,
    owner: BodyOwner,
  ) {
    this.#subject = subject;
    this.#limit = limit;
    this.#spool = spool;
    this.#owner = owner;
    // The pages of a length that is a lie are never touched, so they cost nothing.
    if (length !== undefined && length > 0 && length <= SPOOL_LIMIT)
      this.#whole = Buffer.allocUnsafeSlow(length);
  }

  /** Bytes that came so far. */
  get size(): number {
    return this.#size;
  }

  /** @returns false when this chunk goes beyond the limit or the announced length. */
  add(chunk: Uint8Array): boolean {
    const before = this.#size;
    this.#size += chunk.byteLength;
    if (this.#whole !== undefined) {
      if (this.#size > this.#whole.byteLength) return false;
      this.#whole.set(chunk, before);
      return true;
    }
    const fits = this.#size <= this.#limit;
    if (this.#queue !== undefined) {
      if (fits) this.#queue.push(chunk);
      return fits;
    }
    this.#chunks.push(chunk);
    if (fits && this.#size > SPOOL_LIMIT && this.#spool !== undefined) this.#spill(this.#spool);
    return fits;
  }

  /** All has come. @throws MirrorError of the spool */
  end(): Uint8Array | Promise<Body> {
    if (this.#spooled !== undefined) {
      this.#queue?.end();
      return this.#spooled.catch((error: unknown) => {
        throw asMirrorError(error, this.#subject);
      });
    }
    if (this.#whole !== undefined) return this.#whole.subarray(0, this.#size);
    const [first] = this.#chunks;
    return first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#size);
  }

  /** No more will come: the spool cleans up, also when it was whole in spite of the failure. Resolves after that. */
  async abandon(error: MirrorError): Promise<void> {
    this.#queue?.fail(error);
    try {
      const body = await this.#spooled;
      if (body !== undefined && isSpool(body)) await body.dispose();
    } catch {
      // `error` is what is told; the spool has only passed it on, or came to the same end.
    }
  }

  /** A copy of the first EVIDENCE_LIMIT bytes; undefined once they are in the spool. */
  evidence(): Uint8Array | undefined {
    if (this.#queue !== undefined) return undefined;
    if (this.#whole !== undefined) {
      return Buffer.from(this.#whole.subarray(0, Math.min(this.#size, this.#whole.length, EVIDENCE_LIMIT)));
    }
    return Buffer.concat(this.#chunks, Math.min(this.#size, EVIDENCE_LIMIT));
  }

  /** The body outgrew memory: what came and what will come goes to the spool. */
  #spill(spool: SpoolChunks): void {
    const queue = new ChunkQueue((held) => this.#owner.hold(held));
    for (const chunk of this.#chunks) queue.push(chunk);
    this.#chunks = [];
    this.#queue = queue;
    this.#spooled = spool(queue, this.#limit, this.#subject);
    // The owner takes no heed once its transfer has ended: then `end` or `abandon` sees what became of the spool.
    this.#spooled.then(
      () => {
        const message = `${this.#subject}: its spool stopped reading before the end; run again`;
        this.#owner.fail(new MirrorError("transient", this.#subject, message));
      },
      (error: unknown) => this.#owner.fail(asMirrorError(error, this.#subject)),
    );
  }
}
