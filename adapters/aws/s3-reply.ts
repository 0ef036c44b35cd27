import { Readable } from "node:stream";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";
import { MirrorError } from "../../mirror/errors.ts";
import { fromSdk } from "./errors.ts";

export function bodyOf(reply: GetObjectCommandOutput): Readable {
  return (reply.Body as Readable | undefined) ?? Readable.from([]);
}

/** The ETag without its quotes. */
export function etagOf(reply: { readonly ETag?: string | undefined }): string {
  return (reply.ETag ?? "").replace(/^"|"$/g, "");
}

/**
 * The body's chunks, `size` bytes in all; whoever leaves the loop early gives the socket back.
 * @throws MirrorError transient when the body is cut off, or has another size.
 */
export async function* chunksOf(
  reply: GetObjectCommandOutput,
  size: number,
  store: string,
  key: string,
): AsyncIterable<Uint8Array> {
  const body = bodyOf(reply);
  let received = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      received += chunk.byteLength;
      if (received > size) break;
      yield chunk;
    }
  } catch (thrown) {
    throw fromSdk(thrown, store, key);
  } finally {
    body.destroy();
  }
  if (received === size) return;
  throw new MirrorError(
    "transient",
    key,
    `${key}: ${store}: the reply has not the ${size} bytes that it announced`,
  );
}

/** All of it. @throws as `chunksOf`. */
export async function bytesOf(
  reply: GetObjectCommandOutput,
  size: number,
  store: string,
  key: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of chunksOf(reply, size, store, key)) chunks.push(chunk);
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size);
}
