import type { S3Client } from "@aws-sdk/client-s3";
import { sha256Of } from "../../mirror/body.ts";
import type { Vault } from "../../mirror/ports.ts";
import { S3Bucket } from "./s3-bucket.ts";

/** The mirror's own bucket. For the grants it needs, ListBucket among them, see S3Bucket. */
export class S3Vault implements Vault {
  readonly #objects: S3Bucket;

  constructor({ client, bucket }: { readonly client: S3Client; readonly bucket: string }) {
    this.#objects = new S3Bucket(client, bucket);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#objects.put(key, bytes, sha256Of(bytes), { contentType: "application/octet-stream" });
  }

  async get(key: string, limit: number): Promise<Uint8Array | undefined> {
    return (await this.#objects.get(key, limit))?.bytes;
  }

  async *keys(prefix: string): AsyncIterable<string> {
    for await (const { key } of this.#objects.keys(prefix)) yield key;
  }
}
