import { type Sha256, sha256Stream } from "../body.ts";
import type { BundleFile, BundlePack } from "./bundle-json.ts";
import type { BundleFileWriter, BundleTarget } from "./bundle-ports.ts";
import { TAR_END, tarHeader, tarPadding } from "./tar-format.ts";

/** Bytes gathered before they are hashed and written. */
const PART = 1 << 20;

/** Writes one pack: a tar archive, its SHA-256 taken on the way. */
export class PackWriter {
  readonly name: string;
  readonly #number: number;
  readonly #time: number;
  readonly #writer: BundleFileWriter;
  readonly #running = sha256Stream();
  #part = Buffer.allocUnsafe(PART);
  /** What is filled while the other one is being written. */
  #spare = Buffer.allocUnsafe(PART);
  #writing: Promise<void> | undefined;
  #filled = 0;
  #size = 0;

  private constructor(name: string, number: number, time: number, writer: BundleFileWriter) {
    this.name = name;
    this.#number = number;
    this.#time = time;
    this.#writer = writer;
  }

  /**
   * @param number its place in the bundle's list of packs, from 0.
   * @param at where it lies in the target.
   * @param time of every file in it, in seconds since the epoch.
   */
  static async create(target: BundleTarget, number: number, at: string, time: number): Promise<PackWriter> {
    return new PackWriter(packName(number), number, time, await target.create(at));
  }

  /** Bytes so far, without the archive's end. */
  get size(): number {
    return this.#size;
  }

  /** Adds a file of exactly `size` bytes. @param content to be read once; may fail, then so does the pack. */
  async add(
    path: string,
    size: number,
    content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    sha256: () => Sha256,
  ): Promise<BundleFile> {
    await this.#append(tarHeader(path, size, this.#time));
    const offset = this.#size;
    for await (const chunk of content) await this.#append(chunk);
    if (this.#size - offset !== size)
      throw new RangeError(`${path}: ${this.#size - offset} bytes instead of ${size}`);
    await this.#append(tarPadding(size));
    return { path, size, sha256: sha256(), pack: this.#number, offset };
  }

  async finish(): Promise<BundlePack> {
    await this.#append(TAR_END);
    await this.#flush();
    await this.#writing;
    await this.#writer.finish();
    return { name: this.name, size: this.#size, sha256: this.#running.digest() };
  }

  async discard(): Promise<void> {
    await this.#writing?.catch(() => undefined);
    await this.#writer.discard();
  }

  async #append(chunk: Uint8Array): Promise<void> {
    this.#size += chunk.byteLength;
    for (let at = 0; at < chunk.byteLength; ) {
      const taken = Math.min(PART - this.#filled, chunk.byteLength - at);
      this.#part.set(chunk.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === PART) await this.#flush();
    }
  }

  /** Waits for the write before, not for its own: while the disk takes the part, it is hashed and the next one filled. */
  async #flush(): Promise<void> {
    await this.#writing;
    const part = this.#part.subarray(0, this.#filled);
    [this.#part, this.#spare] = [this.#spare, this.#part];
    this.#filled = 0;
    this.#writing = this.#writer.write(part);
    // Whoever waits for it next hears of it.
    this.#writing.catch(() => undefined);
    this.#running.update(part);
  }
}

export function packName(number: number): string {
  return `pack-${String(number + 1).padStart(4, "0")}.tar`;
}
