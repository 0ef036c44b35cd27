import { createHash, hash } from "node:crypto";
import { pipeline } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import { crc32, createDeflateRaw, deflateRawSync } from "node:zlib";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { MAX_ZIP_BYTES } from "./zip-check.ts";
import { DEFLATED, STORED } from "./zip-directory.ts";
import {
  descriptor,
  directoryHeader,
  endRecords,
  FLAG_DESCRIPTOR,
  localHeader,
  type Written,
} from "./zip-records.ts";

/** Takes the next bytes of the zip; awaited before more are made, so that a slow disk bounds the memory. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void> | void;

/** Files up to this size are deflated in memory at once; larger ones in pieces, their sizes told after them. */
const SMALL_BYTES = 1024 * 1024;
/** Files below this size would hardly become smaller, and a deflate state costs 0.1 ms. */
const LEAST_DEFLATED = 64;
/** How much is handed on at once. */
const WRITE_BYTES = 256 * 1024;
/** Work between two turns of the event loop, in bytes deflated: about 40 ms. */
const TURN_BYTES = 1024 * 1024;

/**
 * Writes a zip from front to back: the same entries in the same order give the same bytes (of one version of zlib).
 * Memory is bounded by 3 MiB and 0.3 KB an entry, whatever the files' sizes.
 */
export class ZipWriter {
  readonly #write: WriteBytes;
  readonly #entries: Written[] = [];
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #work = 0;

  constructor(write: WriteBytes) {
    this.#write = write;
  }

  /**
   * Adds one file.
   * @param size what `content` must have, in bytes.
   * @returns the SHA-256 of its content, in hex.
   * @throws FormatError where it has more or fewer bytes, and where the zip grows above 500 MiB.
   */
  async add(name: string, size: number, content: AsyncIterable<Uint8Array>): Promise<string> {
    const entry = { name: Buffer.from(name, "utf8"), size, offset: this.#offset };
    const checked = exactly(name, size, content);
    return size <= SMALL_BYTES ? this.#addSmall(entry, checked) : this.#addLarge(entry, checked);
  }

  /** Writes the directory. @returns the zip's size in bytes. */
  async finish(): Promise<number> {
    const start = this.#offset;
    for (const entry of this.#entries) await this.#put(directoryHeader(entry));
    const end = endRecords(this.#entries.length, start, this.#offset - start);
    await this.#put(end);
    await this.#flush();
    return this.#offset;
  }

  async #addSmall(
    entry: Pick<Written, "name" | "size" | "offset">,
    content: AsyncIterable<Uint8Array>,
  ): Promise<string> {
    const bytes = Buffer.allocUnsafe(entry.size);
    let at = 0;
    for await (const piece of content) {
      bytes.set(piece, at);
      at += piece.length;
    }
    const deflated = bytes.length < LEAST_DEFLATED ? bytes : deflateRawSync(bytes);
    const [method, data] = deflated.length < bytes.length ? [DEFLATED, deflated] : [STORED, bytes];
    const written = { ...entry, flags: 0, method, crc: crc32(bytes), compressedSize: data.length };
    await this.#put(localHeader(written));
    await this.#put(data);
    this.#entries.push(written);
    this.#work += bytes.length;
    if (this.#work >= TURN_BYTES) {
      this.#work = 0;
      await setImmediate();
    }
    return hash("sha256", bytes, "hex");
  }

  async #addLarge(
    entry: Pick<Written, "name" | "size" | "offset">,
    content: AsyncIterable<Uint8Array>,
  ): Promise<string> {
    await this.#put(
      localHeader({ ...entry, size: 0, flags: FLAG_DESCRIPTOR, method: DEFLATED, crc: 0, compressedSize: 0 }),
    );
    const sha256 = createHash("sha256");
    const start = this.#offset;
    let crc = 0;
    await pipeline(
      async function* () {
        for await (const piece of content) {
          sha256.update(piece);
          crc = crc32(piece, crc);
          // zlib works on it in another thread while the next piece may be read into the same bytes.
          yield Uint8Array.from(piece);
        }
      },
      createDeflateRaw({ chunkSize: WRITE_BYTES }),
      async (deflated: AsyncIterable<Uint8Array>) => {
        for await (const piece of deflated) await this.#put(piece);
      },
    );
    const compressedSize = this.#offset - start;
    const written = { ...entry, flags: FLAG_DESCRIPTOR, method: DEFLATED, crc, compressedSize };
    await this.#put(descriptor(written));
    this.#entries.push(written);
    return sha256.digest("hex");
  }

  async #put(bytes: Uint8Array): Promise<void> {
    this.#offset += bytes.length;
    if (this.#offset > MAX_ZIP_BYTES) {
      throw new FormatError("zip", `zip too large: more than ${MAX_ZIP_BYTES} bytes`);
    }
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= WRITE_BYTES) await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#pendingBytes === 0) return;
    const [first] = this.#pending;
    const bytes = this.#pending.length === 1 && first !== undefined ? first : Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#write(bytes);
  }
}

/** The same content, held to its declared size. */
async function* exactly(
  name: string,
  size: number,
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let length = 0;
  for await (const piece of content) {
    length += piece.length;
    if (length > size) throw changed(name, size, "larger");
    yield piece;
  }
  if (length < size) throw changed(name, size, "smaller");
}

function changed(name: string, size: number, how: "larger" | "smaller"): FormatError {
  return new FormatError(
    name,
    `file ${quote(name)} is ${how} than declared size (${size} bytes): it changed while it was read`,
  );
}
