import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { StoredObject } from "../../mirror/ports.ts";
import { codeOf, fileError, notPlain } from "./file-error.ts";

/** No symbolic link is followed, and a FIFO that someone planted does not hang us. */
const READ_PLAIN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Up to this size a read from the page cache costs less than a trip through the thread pool. */
const SYNC_LIMIT = 256 * 1024;
/** Bytes of one part of a stream. */
const PART = 256 * 1024;

/** Errors of opening a path under which there is no object: also where a folder, or nothing that long, can be. */
const NO_SUCH_FILE = new Set(["ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG"]);

/** Size and kind of a file that is there. */
export type FileStat = Pick<Stats, "size" | "mtimeMs" | "ino">;

/**
 * Reads the whole of a plain file, if `accept` takes its size.
 * @returns undefined when there is none.
 * @throws MirrorError misuse when it is no plain file; what `accept` throws.
 */
export async function readPlainFile(
  path: string,
  accept: (stat: FileStat) => void,
): Promise<Buffer | undefined> {
  const file = openPlain(path);
  if (file === undefined) return undefined;
  if (file.stat.size > SYNC_LIMIT) {
    closeSync(file.descriptor);
    const opened = await openPlainFile(path);
    if (opened === undefined) return undefined;
    try {
      accept(opened.stat);
      return await readAt(opened.handle, 0, opened.stat.size);
    } finally {
      await opened.handle.close();
    }
  }
  try {
    accept(file.stat);
    const bytes = Buffer.allocUnsafe(file.stat.size);
    let at = 0;
    while (at < bytes.byteLength) {
      const read = readSync(file.descriptor, bytes, at, bytes.byteLength - at, at);
      if (read === 0) break;
      at += read;
    }
    return bytes.subarray(0, at);
  } finally {
    closeSync(file.descriptor);
  }
}

/** Opens a plain file to be read in parts; undefined when there is none. */
export async function openPlainFile(
  path: string,
): Promise<{ handle: FileHandle; stat: FileStat } | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, READ_PLAIN);
  } catch (error) {
    if (NO_SUCH_FILE.has(codeOf(error) ?? "")) return undefined;
    throw error;
  }
  const stat = await handle.stat();
  if (stat.isFile()) return { handle, stat };
  await handle.close();
  if (stat.isDirectory()) return undefined;
  throw notPlain(path);
}

function openPlain(path: string): { readonly descriptor: number; readonly stat: FileStat } | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(path, READ_PLAIN);
  } catch (error) {
    if (NO_SUCH_FILE.has(codeOf(error) ?? "")) return undefined;
    throw error;
  }
  const stat = fstatSync(descriptor);
  if (stat.isFile()) return { descriptor, stat };
  closeSync(descriptor);
  if (stat.isDirectory()) return undefined;
  throw notPlain(path);
}

/** A StoredObject over an open file; the file may be unlinked or replaced meanwhile, its bytes stay. */
export class OpenFile implements StoredObject {
  readonly size: number;
  readonly etag: string;
  readonly #handle: FileHandle;
  readonly #key: string;

  constructor(handle: FileHandle, size: number, etag: string, key: string) {
    this.#handle = handle;
    this.size = size;
    this.etag = etag;
    this.#key = key;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    try {
      return await readAt(this.#handle, offset, Math.max(0, Math.min(length, this.size - offset)));
    } catch (error) {
      throw fileError(error, this.#key);
    }
  }

  async readInto(offset: number, room: Uint8Array): Promise<number> {
    try {
      return (await this.#handle.read(room, 0, room.byteLength, offset)).bytesRead;
    } catch (error) {
      throw fileError(error, this.#key);
    }
  }

  async *stream(range?: { readonly start: number; readonly end: number }): AsyncGenerator<Uint8Array> {
    const end = Math.min(range === undefined ? this.size : range.end + 1, this.size);
    for (let at = range?.start ?? 0; at < end; ) {
      const part = await this.read(at, Math.min(PART, end - at));
      if (part.byteLength === 0) throw fileError(new Error("cut short while it was read"), this.#key);
      yield part;
      at += part.byteLength;
    }
  }

  /** Waits for reads under way: FileHandle holds its descriptor until they are done. */
  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  while (at < length) {
    const { bytesRead } = await handle.read(bytes, at, length - at, offset + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}
