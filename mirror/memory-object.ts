import type { StoredObject } from "./ports.ts";

/** A StoredObject over bytes that nobody changes. */
export function memoryObject(bytes: Uint8Array, etag: string): StoredObject {
  return {
    size: bytes.byteLength,
    etag,
    read: async (offset, length) => bytes.slice(offset, offset + length),
    async *stream(range) {
      yield range === undefined ? bytes.slice() : bytes.slice(range.start, range.end + 1);
    },
    close: async () => {},
  };
}

/** All chunks as one. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks) collected.push(chunk);
  return Buffer.concat(collected);
}
