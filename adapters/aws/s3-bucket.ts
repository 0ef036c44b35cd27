import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { type Body, isSpool, type Sha256, sizeOf } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { memoryObject } from "../local/memory-object.ts";
import { fromSdk, sdkError, translated } from "./errors.ts";
import { pause, TRIES } from "./retry.ts";
import { bodyOf, bytesOf, chunksOf, etagOf } from "./s3-reply.ts";

/** Tries of a spooled upload: the SDK repeats no request whose body is a stream. */
const UPLOAD_TRIES = 3;

/** What goes with an object, and on which condition it is written. */
export interface PutOptions {
  readonly contentType: string;
  readonly cacheControl?: string;
  /** `absent`: only if there is no such object; else the ETag that it must have. */
  readonly only?: "absent" | { readonly etag: string };
}

/**
 * One bucket: what the tree and the vault have in common. Strongly consistent and durable on return, as S3 is.
 *
 * The role needs s3:GetObject, s3:PutObject on the objects and **s3:ListBucket on the bucket**: without it S3 answers
 * 403 in place of 404 for a key that is not there, which is an `unauthorized` error here and never "absent".
 */
export class S3Bucket {
  readonly #client: S3Client;
  readonly #bucket: string;
  /** For messages. */
  readonly name: string;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
    this.name = `bucket ${bucket}`;
  }

  /**
   * One PutObject, so that the SHA-256 that S3 checks and keeps is that of the whole (a multipart one is composite).
   * @returns `refused` when the condition did not hold. A reply lost on the way makes the SDK ask again, and then a
   * write of ours may be the one that refuses it: both ports' callers read again after a refusal.
   */
  async put(key: string, body: Body, sha256: Sha256, options: PutOptions): Promise<"stored" | "refused"> {
    if (isSpool(body) && body.sha256 !== sha256) {
      throw new MirrorError(
        "transient",
        key,
        `${key}: ${this.name}: the spooled body has SHA-256 ${body.sha256}, not ${sha256}`,
      );
    }
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#putOnce(key, body, sha256, options);
      } catch (thrown) {
        const error = fromSdk(thrown, this.name, key);
        if (options.only === "absent" && isSpool(body) && (await this.#isThereAfter(error, key)))
          return "refused";
        // 409 ConditionalRequestConflict: another write or delete of the key was under way; nobody has won yet.
        const tries = sdkError(thrown).status === 409 ? TRIES : isSpool(body) ? UPLOAD_TRIES : 1;
        if (error.class !== "transient" || attempt + 1 >= tries) throw error;
        await pause(attempt);
      }
    }
  }

  /**
   * After an upload that ended without a reply: whether the object is there. Not every store refuses it before its body
   * is sent: some say `100 Continue`, refuse, and close the connection on what is still under way, so that no try ever
   * gets to read the refusal (versitygw).
   */
  async #isThereAfter(error: MirrorError, key: string): Promise<boolean> {
    if (error.class !== "transient" || sdkError(error.cause).status !== undefined) return false;
    return (await this.#head(key).catch(() => undefined)) !== undefined;
  }

  async #putOnce(
    key: string,
    body: Body,
    sha256: Sha256,
    options: PutOptions,
  ): Promise<"stored" | "refused"> {
    const upload = new AbortController();
    let unreadable: unknown;
    const stream = isSpool(body) ? Readable.from(body.stream(), { objectMode: false }) : undefined;
    // The SDK pipes the stream and would neither see its error nor end the request.
    stream?.on("error", (error) => {
      unreadable ??= error;
      upload.abort();
    });
    const command = new PutObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Body: stream ?? (body as Uint8Array),
      ContentLength: sizeOf(body),
      ContentType: options.contentType,
      ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
      ...(options.cacheControl === undefined ? {} : { CacheControl: options.cacheControl }),
      ...(options.only === undefined
        ? {}
        : options.only === "absent"
          ? { IfNoneMatch: "*" }
          : { IfMatch: `"${options.only.etag}"` }),
    });
    try {
      await this.#client.send(command, { abortSignal: upload.signal });
      return "stored";
    } catch (thrown) {
      if (unreadable !== undefined) throw unreadable;
      const { status, name } = sdkError(thrown);
      if (options.only !== undefined && (status === 412 || (status === 404 && name !== "NoSuchBucket")))
        return "refused";
      throw thrown;
    } finally {
      // A refusal before `100 Continue` leaves the request half sent: its socket and the spool's file are given back.
      upload.abort();
      stream?.destroy();
    }
  }

  /**
   * Deletes a key if it still has the ETag that was read; it needs s3:DeleteObject. A store that takes no condition on a
   * delete (501) is asked for the ETag first: what is written in between is then lost.
   * @returns `removed` also when there is no such key.
   */
  async remove(key: string, etag: string): Promise<"removed" | "changed"> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#removeIf(key, etag);
      } catch (thrown) {
        const error = fromSdk(thrown, this.name, key);
        if (sdkError(thrown).status !== 409 || attempt + 1 >= TRIES) throw error;
        await pause(attempt);
      }
    }
  }

  async #removeIf(key: string, etag: string): Promise<"removed" | "changed"> {
    const object = { Bucket: this.#bucket, Key: key };
    try {
      await this.#client.send(new DeleteObjectCommand({ ...object, IfMatch: `"${etag}"` }));
      return "removed";
    } catch (thrown) {
      const { status, name } = sdkError(thrown);
      if (status === 404 && name !== "NoSuchBucket") return "removed";
      if (status !== 412 && status !== 501) throw thrown;
      const found = await this.open(key);
      if (found === undefined) return "removed";
      if (found.etag !== etag || status === 412) return "changed";
    }
    await this.#client.send(new DeleteObjectCommand(object));
    return "removed";
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
      if (sdkError(error.cause).status === 416) return this.#head(key);
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

  /** Keys with their sizes, sorted by bytes as S3 lists them. */
  async *keys(prefix?: string): AsyncIterable<{ readonly key: string; readonly size: number }> {
    let token: string | undefined;
    do {
      const page = await translated(this.name, prefix ?? "list", () =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.#bucket,
            ...(prefix === undefined ? {} : { Prefix: prefix }),
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

  async #head(key: string) {
    try {
      return await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: key }));
    } catch (thrown) {
      if (sdkError(thrown).status === 404) return undefined;
      throw fromSdk(thrown, this.name, key);
    }
  }

  /** @returns undefined when there is no such key. */
  async #request(key: string, range?: string, etag?: string): Promise<GetObjectCommandOutput | undefined> {
    try {
      return await this.#client.send(
        new GetObjectCommand({
          Bucket: this.#bucket,
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
