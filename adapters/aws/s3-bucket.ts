import { Readable } from "node:stream";
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { type Body, isSpool, type Sha256, sizeOf } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { fromSdk, sdkError, translated } from "./errors.ts";
import { pause, TRIES } from "./retry.ts";
import { S3Objects } from "./s3-objects.ts";

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
export class S3Bucket extends S3Objects {
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
    return (await this.head(key).catch(() => undefined)) !== undefined;
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
      Bucket: this.bucket,
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
      await this.client.send(command, { abortSignal: upload.signal });
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

  /** Deletes a key whatever it holds; it needs s3:DeleteObject. */
  async delete(key: string): Promise<void> {
    await translated(this.name, key, () =>
      this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key })),
    );
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
    const object = { Bucket: this.bucket, Key: key };
    try {
      await this.client.send(new DeleteObjectCommand({ ...object, IfMatch: `"${etag}"` }));
      return "removed";
    } catch (thrown) {
      const { status, name } = sdkError(thrown);
      if (status === 404 && name !== "NoSuchBucket") return "removed";
      if (status !== 412 && status !== 501) throw thrown;
      const found = await this.open(key);
      if (found === undefined) return "removed";
      if (found.etag !== etag || status === 412) return "changed";
    }
    await this.client.send(new DeleteObjectCommand(object));
    return "removed";
  }
}
