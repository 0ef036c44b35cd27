import type { Sha256 } from "../body.ts";
import type { BundleFile, BundlePack } from "./bundle-json.ts";
import type { BundleTarget, HashedFileWriter } from "./bundle-ports.ts";
import { hashedHere } from "./hashed-here.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar-format.ts";

/** What a pack takes a file's bytes from, once, from front to end. */
export interface PackedContent {
  content(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** The next bytes of the file, as many as are at hand and `room` takes; 0 at its end. Instead of `content`. */
  readInto?(room: Uint8Array): Promise<number>;
  /** Of the content, once it was read. */
  sha256(): Sha256 | Promise<Sha256>;
}

/** Writes one pack: a tar archive, its SHA-256 taken on the way. */
export class PackWriter {
  readonly name: string;
  readonly #number: number;
  readonly #time: number;
  readonly #writer: HashedFileWriter;
  #part: Uint8Array;
  #filled = 0;
  #size = 0;

  private constructor(
    name: string,
    number: number,
    time: number,
    writer: HashedFileWriter,
    part: Uint8Array,
  ) {
    this.name = name;
    this.#number = number;
    this.#time = time;
    this.#writer = writer;
    this.#part = part;
  }

  /**
   * @param number its place in the bundle's list of packs, from 0.
   * @param at where it lies in the target.
   * @param time of every file in it, in seconds since the epoch.
   */
  static async create(target: BundleTarget, number: number, at: string, time: number): Promise<PackWriter> {
    const writer = (await target.createHashed?.(at)) ?? hashedHere(await target.create(at));
    return new PackWriter(packName(number), number, time, writer, await writer.next());
  }

  /** Bytes so far, without the archive's end. */
  get size(): number {
    return this.#size;
  }

  /** Adds a file of exactly `size` bytes. @param file to be read once; may fail, then so does the pack. */
  async add(path: string, size: number, file: PackedContent): Promise<BundleFile> {
    await this.#append(tarHeader(path, size, this.#time));
    const offset = this.#size;
    if (file.readInto === undefined) for await (const chunk of file.content()) await this.#append(chunk);
    else await this.#fill(size, (room) => file.readInto?.(room) ?? Promise.resolve(0));
    if (this.#size - offset !== size)
      throw new RangeError(`${path}: ${this.#size - offset} bytes instead of ${size}`);
    await this.#append(tarPadding(size));
    return { path, size, sha256: await file.sha256(), pack: this.#number, offset };
  }

  async finish(): Promise<BundlePack> {
    await this.#append(TAR_END);
    this.#writer.put(this.#filled);
    return { name: this.name, size: this.#size, sha256: await this.#writer.finish() };
  }

  async discard(): Promise<void> {
    await this.#writer.discard();
  }

  async #append(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.byteLength; ) {
      const taken = Math.min(this.#part.byteLength - this.#filled, chunk.byteLength - at);
      this.#part.set(taken === chunk.byteLength ? chunk : chunk.subarray(at, at + taken), this.#filled);
      at += taken;
      if (this.#took(taken)) await this.#flush();
    }
  }

  /** Straight into the pack's memory. */
  async #fill(size: number, read: (room: Uint8Array) => Promise<number>): Promise<void> {
    for (let left = size; left > 0; ) {
      const taken = await read(this.#part.subarray(this.#filled, this.#filled + left));
      if (taken === 0) return;
      left -= taken;
      if (this.#took(taken)) await this.#flush();
    }
  }

  #took(bytes: number): boolean {
    this.#filled += bytes;
    this.#size += bytes;
    return this.#filled === this.#part.byteLength;
  }

  async #flush(): Promise<void> {
    this.#writer.put(this.#filled);
    this.#filled = 0;
    this.#part = await this.#writer.next();
  }
}

export function packName(number: number): string {
  return `pack-${String(number + 1).padStart(4, "0")}.tar`;
}
