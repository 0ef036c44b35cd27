import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { MirrorError } from "../../mirror/errors.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { fromSdk, sdkError } from "./errors.ts";
import { pause, TRIES } from "./retry.ts";
import { bytesOf } from "./s3-reply.ts";

/** A stream reads so much at once: whoever is slow with it holds no connection meanwhile, which S3 would close. */
const PIECE = 8 * 1024 * 1024;

/** An object of a bucket as it was listed. */
export interface ListedObject {
  readonly key: string;
  readonly size: number;
  /** Without its quotes. */
  readonly etag: string;
}

/** Reads one object by its ranges for as long as it is the one that was listed. */
export class PinnedObject implements StoredObject {
  readonly size: number;
  readonly etag: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #key: string;

  constructor(client: S3Client, bucket: string, { key, size, etag }: ListedObject) {
    this.size = size;
    this.etag = etag;
    this.#client = client;
    this.#bucket = bucket;
    this.#key = key;
  }

  /** @throws MirrorError mismatch where it was exchanged since; transient where it is gone, or S3 does not answer. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.min(length, this.size - offset);
    if (wanted <= 0) return new Uint8Array();
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#get(offset, wanted);
      } catch (thrown) {
        // The SDK asks again for a reply, and for none whose body was cut off.
        const error = this.#translated(thrown);
        if (error.class !== "transient" || sdkError(thrown).name === "NoSuchKey" || attempt + 1 >= TRIES)
          throw error;
        await pause(attempt);
      }
    }
  }

  async *stream(range = { start: 0, end: this.size - 1 }): AsyncGenerator<Uint8Array> {
    const end = Math.min(range.end + 1, this.size);
    for (let at = range.start; at < end; at += PIECE) yield await this.read(at, Math.min(PIECE, end - at));
  }

  async close(): Promise<void> {}

  async #get(offset: number, length: number): Promise<Uint8Array> {
    const reply = await this.#client.send(
      new GetObjectCommand({
        Bucket: this.#bucket,
        Key: this.#key,
        Range: `bytes=${offset}-${offset + length - 1}`,
        IfMatch: `"${this.etag}"`,
      }),
    );
    return await bytesOf(reply, length, `bucket ${this.#bucket}`, this.#key);
  }

  #translated(thrown: unknown): MirrorError {
    if (sdkError(thrown).status === 412) {
      const message = `${this.#key}: was exchanged while the bundle was being imported; nothing more of it is taken over`;
      return new MirrorError("mismatch", this.#key, message, { cause: thrown });
    }
    return fromSdk(thrown, `bucket ${this.#bucket}`, this.#key);
  }
}
