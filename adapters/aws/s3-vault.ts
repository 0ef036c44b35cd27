import type { S3Client } from "@aws-sdk/client-s3";
import { type Body, type Sha256, sha256Of } from "../../mirror/body.ts";
import type { StoredObject, Vault } from "../../mirror/ports.ts";
import { S3Bucket } from "./s3-bucket.ts";

const CONTENT_TYPE = "application/octet-stream";

/** The mirror's own bucket. For the grants it needs, ListBucket among them, see S3Bucket. */
export class S3Vault implements Vault {
  readonly #objects: S3Bucket;

  constructor({ client, bucket }: { readonly client: S3Client; readonly bucket: string }) {
    this.#objects = new S3Bucket(client, bucket);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#objects.put(key, bytes, sha256Of(bytes), { contentType: CONTENT_TYPE });
  }

  async create(key: string, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const options = { contentType: CONTENT_TYPE, only: "absent" } as const;
    return (await this.#objects.put(key, body, sha256, options)) === "stored" ? "created" : "exists";
  }

  open(key: string): Promise<StoredObject | undefined> {
    return this.#objects.open(key);
  }

  remove(key: string): Promise<void> {
    return this.#objects.delete(key);
  }

  async get(key: string, limit: number): Promise<Uint8Array | undefined> {
    return (await this.#objects.get(key, limit))?.bytes;
  }

  async *keys(prefix: string): AsyncIterable<string> {
    for await (const { key } of this.#objects.keys(prefix)) yield key;
  }
}
