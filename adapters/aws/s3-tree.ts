import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { type Body, isSpool, type Sha256, sha256Of } from "../../mirror/body.ts";
import { misuse } from "../../mirror/errors.ts";
import type { StoredObject, Tree } from "../../mirror/ports.ts";
import { parseTreeKey, type TreeKey } from "../../mirror/tree-keys.ts";
import { translated } from "./errors.ts";
import { objectHeaders } from "./object-headers.ts";
import { S3Bucket } from "./s3-bucket.ts";

/** A presigned URL lives no longer: seven days (Signature Version 4, Authenticating requests: query parameters). */
const LONGEST_LINK = 604_800;

/** As functions/serve.ts sends inline at most; the few lists that are longer are redirected, so never read here. */
const AT_ONCE = 1_000_000;

export interface S3TreeOptions {
  readonly client: S3Client;
  readonly bucket: string;
}

/** A bucket that is a GOPROXY. For the grants it needs, ListBucket among them, see S3Bucket. */
export class S3Tree implements Tree {
  readonly #objects: S3Bucket;
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor({ client, bucket }: S3TreeOptions) {
    this.#objects = new S3Bucket(client, bucket);
    this.#client = client;
    this.#bucket = bucket;
  }

  async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const answer = await this.#objects.put(key, body, sha256, { ...objectHeaders(key), only: "absent" });
    return answer === "stored" ? "created" : "exists";
  }

  async replace(key: TreeKey, body: Body, previous: string | undefined): Promise<"replaced" | "changed"> {
    const only = previous === undefined ? "absent" : { etag: previous };
    // What is sent in vain may be refused while it is on its way, by a reset that does not say why.
    if (isSpool(body) && (await this.#etagOf(key)) !== previous) return "changed";
    const sha256 = isSpool(body) ? body.sha256 : sha256Of(body);
    const answer = await this.#objects.put(key, body, sha256, { ...objectHeaders(key), only });
    return answer === "stored" ? "replaced" : "changed";
  }

  async #etagOf(key: TreeKey): Promise<string | undefined> {
    const found = await this.#objects.open(key, 0);
    await found?.close();
    return found?.etag;
  }

  remove(key: TreeKey, previous: string): Promise<"removed" | "changed"> {
    return this.#objects.remove(key, previous);
  }

  get(
    key: TreeKey,
    limit: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined> {
    return this.#objects.get(key, limit);
  }

  open(key: TreeKey): Promise<StoredObject | undefined> {
    // Zips are opened to be redirected to, or to be read here and there; all else to be sent whole, and lists move.
    return this.#objects.open(key, parseTreeKey(key)?.kind === "zip" ? 0 : AT_ONCE);
  }

  keys(after?: string): AsyncIterable<{ readonly key: string; readonly size: number }> {
    return this.#objects.keys(undefined, after);
  }

  /** S3 keeps what every object of ours was stored with, and checked it then (Amazon S3, Checking object integrity). */
  checksum(
    key: TreeKey,
  ): Promise<{ readonly size: number; readonly sha256: Sha256 | undefined } | undefined> {
    return this.#objects.checksum(key);
  }

  /**
   * A presigned GET. Every byte of the key that is not unreserved is percent-encoded, `+` above all, which S3 reads
   * as a space. It dies with the session that signed it, if that is sooner. No request is made: the object may lack.
   */
  async link(key: TreeKey, seconds: number): Promise<string> {
    if (!(seconds >= 1 && seconds <= LONGEST_LINK)) {
      throw misuse("link", `link: ${seconds} s: a presigned URL lives 1 to ${LONGEST_LINK} s`);
    }
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
    return translated(this.#objects.name, key, () =>
      getSignedUrl(this.#client, command, { expiresIn: Math.floor(seconds) }),
    );
  }
}
