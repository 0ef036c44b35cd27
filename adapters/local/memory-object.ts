import type { StoredObject } from "../../mirror/ports.ts";

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
