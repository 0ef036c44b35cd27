import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from "@aws-sdk/client-s3";
import type { Sha256 } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { memoryObject } from "../../mirror/memory-object.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { fromSdk, sdkError, translated } from "./errors.ts";
import { bodyOf, bytesOf, chunksOf, etagOf } from "./s3-reply.ts";

/** The objects of one bucket, to be read and listed; every error is a MirrorError. */
export class S3Objects {
  protected readonly client: S3Client;
  protected readonly bucket: string;
  /** For messages. */
  readonly name: string;

  constructor(client: S3Client, bucket: string) {
    this.client = client;
    this.bucket = bucket;
    this.name = `bucket ${bucket}`;
  }

  /** The whole object; undefined when there is none; MirrorError malformed above `limit` bytes, before they are read. */
  async get(key: string, limit: number): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    const reply = await this.#request(key);
    if (reply === undefined) return undefined;
    const size = reply.ContentLength ?? 0;
    if (size > limit) {
      bodyOf(reply).destroy();
      throw new MirrorError(
        "malformed",
        key,
        `${key}: ${this.name}: ${size} bytes, more than the ${limit} that it may have`,
      );
    }
    return { bytes: await bytesOf(reply, size, this.name, key), etag: etagOf(reply) };
  }

  /**
   * An object to be read in parts. Each part is read only while the object is the one that was opened.
   * @param atOnce up to so many bytes are read here and now, by one request instead of two: what replaces the object
   * afterwards then takes nothing from its reader. 0 for objects that are seldom read by whoever opens them.
   */
  async open(key: string, atOnce = 0): Promise<StoredObject | undefined> {
    if (atOnce > 0) {
      const reply = await this.#request(key);
      if (reply === undefined) return undefined;
      const size = reply.ContentLength ?? 0;
      if (size <= atOnce) return memoryObject(await bytesOf(reply, size, this.name, key), etagOf(reply));
      bodyOf(reply)
        .on("error", () => undefined)
        .destroy();
      return this.#inParts(key, size, etagOf(reply));
    }
    // One byte of a GET and not a HEAD: a HEAD's 404 does not tell a missing bucket from a missing key.
    const found = await this.#request(key, "bytes=0-0").catch((error: MirrorError) => {
      if (sdkError(error.cause).status === 416) return this.head(key);
      throw error;
    });
    if (found === undefined) return undefined;
    if ("Body" in found) drop(found as GetObjectCommandOutput);
    const range = "ContentRange" in found ? /\/(\d+)$/.exec(found.ContentRange ?? "") : null;
    const size = range ? Number(range[1]) : (found.ContentLength ?? 0);
    return this.#inParts(key, size, etagOf(found));
  }

  #inParts(key: string, size: number, etag: string): StoredObject {
    return {
      size,
      etag,
      read: async (offset, length) => {
        const end = Math.min(offset + length, size);
        if (end <= offset) return new Uint8Array(0);
        return bytesOf(await this.#part(key, etag, offset, end - 1), end - offset, this.name, key);
      },
      stream: (part = { start: 0, end: size - 1 }) =>
        this.#stream(key, etag, part.start, Math.min(part.end, size - 1)),
      close: async () => {},
    };
  }

  /**
   * The SHA-256 that S3 keeps of a whole object; undefined where it keeps none: what another program wrote, or in parts
   * (its checksum is then that of the parts' checksums, and ends in `-N`).
   */
  async checksum(
    key: string,
  ): Promise<{ readonly size: number; readonly sha256: Sha256 | undefined } | undefined> {
    const found = await this.head(key, "ENABLED");
    if (found === undefined) return undefined;
    const digest = Buffer.from(found.ChecksumSHA256 ?? "", "base64");
    const whole = digest.byteLength === 32 && !found.ChecksumSHA256?.includes("-");
    return {
      size: found.ContentLength ?? 0,
      sha256: whole ? (digest.toString("hex") as Sha256) : undefined,
    };
  }

  /** Keys with their sizes, sorted by bytes as S3 lists them; from behind `after` on. */
  async *keys(
    prefix?: string,
    after?: string,
  ): AsyncIterable<{ readonly key: string; readonly size: number }> {
    let token: string | undefined;
    do {
      const page = await translated(this.name, prefix ?? "list", () =>
        this.client.send(
          new ListObjectsV2Command({
            Bucket: this.bucket,
            ...(prefix === undefined ? {} : { Prefix: prefix }),
            ...(after === undefined || after === "" ? {} : { StartAfter: after }),
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        ),
      );
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, size: Size ?? 0 };
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  /** Size and ETag alone. @returns undefined when there is no such key, or no such bucket. */
  protected async head(key: string, checksums?: "ENABLED") {
    try {
      const object = { Bucket: this.bucket, Key: key };
      const mode = checksums === undefined ? {} : { ChecksumMode: checksums };
      return await this.client.send(new HeadObjectCommand({ ...object, ...mode }));
    } catch (thrown) {
      if (sdkError(thrown).status === 404) return undefined;
      throw fromSdk(thrown, this.name, key);
    }
  }

  /** @returns undefined when there is no such key. */
  async #request(key: string, range?: string, etag?: string): Promise<GetObjectCommandOutput | undefined> {
    try {
      return await this.client.send(
        new GetObjectCommand({
          Bucket: this.bucket,
          Key: key,
          ...(range === undefined ? {} : { Range: range }),
          ...(etag === undefined ? {} : { IfMatch: `"${etag}"` }),
        }),
      );
    } catch (thrown) {
      if (sdkError(thrown).name === "NoSuchKey") return undefined;
      throw fromSdk(thrown, this.name, key);
    }
  }

  /** Bytes `start` to `end`, both inclusive, of the very object that was opened. */
  async #part(key: string, etag: string, start: number, end: number): Promise<GetObjectCommandOutput> {
    const reply = await this.#request(key, `bytes=${start}-${end}`, etag);
    if (reply !== undefined) return reply;
    throw new MirrorError("transient", key, `${key}: ${this.name}: gone while it was read`);
  }

  async *#stream(key: string, etag: string, start: number, end: number): AsyncIterable<Uint8Array> {
    if (end < start) return;
    const reply = await this.#part(key, etag, start, end);
    yield* chunksOf(reply, end - start + 1, this.name, key);
  }
}

/** Reads the one byte away, so that the socket serves again; a body from a store that ignored the range is cut off. */
function drop(reply: GetObjectCommandOutput): void {
  const body = bodyOf(reply).on("error", () => undefined);
  if (reply.ContentLength === 1) body.resume();
  else body.destroy();
}
