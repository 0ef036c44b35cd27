import type { PinnedObject } from "./bundle-object.ts";

/** Read at once, and kept while what lies beside it may be asked for next: files of a version lie side by side. */
const WINDOW = 4 * 1024 * 1024;
/** 64 MiB in all: publishing works on 32 versions at a time. */
const WINDOWS = 16;

/** Reads small parts of packs, many of which lie close together, by few requests. */
export class PackWindows {
  readonly #open: (pack: string) => Promise<PinnedObject>;
  /** The one that was asked for last stands last. */
  readonly #windows = new Map<string, Promise<Uint8Array>>();

  constructor(open: (pack: string) => Promise<PinnedObject>) {
    this.#open = open;
  }

  /** @throws MirrorError as PinnedObject does. */
  async read(pack: string, offset: number, length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let at = offset; at < offset + length; ) {
      const start = at - (at % WINDOW);
      const window = await this.#window(pack, start);
      const part = window.subarray(at - start, Math.min(window.byteLength, offset + length - start));
      if (part.byteLength === 0) break;
      parts.push(part);
      at += part.byteLength;
    }
    // A copy: a small part must not keep the whole window in memory.
    return Buffer.concat(parts);
  }

  #window(pack: string, start: number): Promise<Uint8Array> {
    const name = `${start} ${pack}`;
    const known = this.#windows.get(name);
    const window = known ?? this.#open(pack).then((object) => object.read(start, WINDOW));
    this.#windows.delete(name);
    this.#windows.set(name, window);
    if (known === undefined) {
      // What has failed is asked for anew.
      window.catch(() => this.#windows.delete(name));
      const [oldest] = this.#windows.keys();
      if (this.#windows.size > WINDOWS && oldest !== undefined) this.#windows.delete(oldest);
    }
    return window;
  }
}
