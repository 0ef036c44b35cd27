import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Body, type Sha256, SPOOL_LIMIT, type Spool, sha256Stream } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";

/** Chunks are gathered to this many bytes before each write, and read back in parts of it. */
const PART = 1 << 20;

/** Receives bodies: small ones in memory, large ones in files of one folder, which is made when first needed. */
export class SpoolFolder {
  readonly folder: string;
  readonly #inMemory: number;
  #made: Promise<unknown> | undefined;

  /** @param inMemory bodies of more bytes go into a file. */
  constructor(folder: string, inMemory = SPOOL_LIMIT) {
    this.folder = folder;
    this.#inMemory = inMemory;
  }

  /**
   * Reads `chunks` to their end. What `chunks` throws is thrown on unchanged, with nothing left behind.
   * @param limit most bytes to accept.
   * @param subject what is received, for messages: `module@version` or a file of it.
   * @returns the bytes themselves up to `inMemory`, else a Spool, which the caller disposes of.
   * @throws MirrorError malformed above `limit` bytes, transient when the disk takes no more.
   */
  async spool(chunks: AsyncIterable<Uint8Array>, limit: number, subject = "body"): Promise<Body> {
    let gathered: Uint8Array[] = [];
    let waiting = 0;
    let size = 0;
    let file: SpoolFile | undefined;
    try {
      for await (const chunk of chunks) {
        size += chunk.byteLength;
        if (size > limit) {
          throw new MirrorError("malformed", subject, `${subject}: larger than the ${limit} bytes allowed`);
        }
        gathered.push(chunk);
        waiting += chunk.byteLength;
        if (waiting <= (file === undefined ? this.#inMemory : PART)) continue;
        file ??= await this.#create(subject);
        await file.append(gathered);
        gathered = [];
        waiting = 0;
      }
      if (file === undefined) return Buffer.concat(gathered, size);
      if (waiting > 0) await file.append(gathered);
      return file.finish();
    } catch (error) {
      await file?.dispose();
      throw error;
    }
  }

  async #create(subject: string): Promise<SpoolFile> {
    try {
      this.#made ??= mkdir(this.folder, { recursive: true });
      await this.#made;
      const path = join(this.folder, `spool-${process.pid}-${randomBytes(8).toString("hex")}`);
      return new SpoolFile(await open(path, "wx+"), path, subject);
    } catch (error) {
      this.#made = undefined;
      throw fileError(error, this.folder);
    }
  }
}

/** One spool, first written, then read through the same open file. */
class SpoolFile implements Spool {
  readonly path: string;
  readonly #subject: string;
  readonly #running = sha256Stream();
  #handle: FileHandle | undefined;
  size = 0;
  sha256 = "" as Sha256;

  constructor(handle: FileHandle, path: string, subject: string) {
    this.#handle = handle;
    this.path = path;
    this.#subject = subject;
  }

  async append(chunks: readonly Uint8Array[]): Promise<void> {
    const part = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
    this.#running.update(part);
    for (let at = 0; at < part.byteLength; ) {
      at += await this.#using(async (handle) => (await handle.write(part, at)).bytesWritten);
    }
    this.size += part.byteLength;
  }

  finish(): this {
    this.sha256 = this.#running.digest();
    return this;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.size - offset));
    const part = Buffer.allocUnsafe(wanted);
    for (let at = 0; at < wanted; ) {
      const { bytesRead } = await this.#using((handle) => handle.read(part, at, wanted - at, offset + at));
      if (bytesRead === 0)
        throw new MirrorError("transient", this.#subject, `${this.#subject}: its spool was cut short`);
      at += bytesRead;
    }
    return part;
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < this.size; at += PART) yield await this.read(at, PART);
  }

  async dispose(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
    await rm(this.path, { force: true });
  }

  async #using<T>(work: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (this.#handle === undefined) {
      throw new MirrorError(
        "transient",
        this.#subject,
        `${this.#subject}: its spool was already disposed of`,
      );
    }
    try {
      return await work(this.#handle);
    } catch (error) {
      throw fileError(error, this.#subject);
    }
  }
}
