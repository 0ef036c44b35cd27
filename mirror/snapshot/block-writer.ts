import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { type Sha256, sha256Stream } from "../body.ts";
import { versionOfLine } from "./snapshot-entry.ts";

/** Where a block of entries lies in `entries.zst`. */
export interface BlockPlace {
  /** The module of its first entry. */
  readonly first: string;
  /** Its first module began in the block before. */
  readonly continued: boolean;
  /** Of its zstd frame, in bytes. */
  readonly offset: number;
  readonly length: number;
  /** Of its lines, in bytes. */
  readonly size: number;
}

/** A block ends with the module that reaches this many bytes … */
export const BLOCK_SIZE = 256 * 1024;
/** … or within a module, at this many. */
export const LARGEST_BLOCK = 1024 * 1024;
/** So many blocks are compressed at the same time, on the thread pool. */
const AHEAD = 4;

const compress = promisify(zstdCompress);
/** Damage then shows when it is read, wherever it is (zstd, ZSTD_c_checksumFlag). */
export const WITH_CHECKSUM = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** What was written, once all of it was read from `frames`. */
export interface WrittenEntries {
  readonly places: readonly BlockPlace[];
  /** Of all lines. */
  readonly sha256: Sha256;
  readonly counts: { readonly modules: number; readonly versions: number; readonly bytes: number };
  /** The checksum databases that prove any of them. */
  readonly databases: readonly string[];
}

/**
 * Makes `entries.zst` of sorted lines: zstd frames one behind the other, so that `zstd -d` prints all lines, and where
 * each of them lies. The cuts depend on the lines alone: same lines, same bytes (of one version of zstd).
 */
export class BlockWriter {
  readonly #places: BlockPlace[] = [];
  readonly #running = sha256Stream();
  readonly #databases = new Set<string>();
  #modules = 0;
  #versions = 0;
  #bytes = 0;
  #lastModule = "";

  /** @param lines sorted, without line ends; batches of them. */
  async *frames(lines: AsyncIterable<readonly string[]>): AsyncGenerator<Uint8Array> {
    const waiting: { readonly block: Block; readonly frame: Promise<Uint8Array> }[] = [];
    let offset = 0;
    const place = async (): Promise<Uint8Array> => {
      const { block, frame } = waiting.shift() as (typeof waiting)[number];
      const bytes = await frame;
      const { first, continued, size } = block;
      // A copy: a slice of a line would keep all that was read with it in memory.
      const copy = Buffer.from(first).toString("utf8");
      this.#places.push({ first: copy, continued, offset, length: bytes.byteLength, size });
      offset += bytes.byteLength;
      return bytes;
    };
    try {
      for await (const block of this.#blocks(lines)) {
        this.#running.update(block.text);
        waiting.push({ block, frame: compressed(block.text) });
        if (waiting.length === AHEAD) yield await place();
      }
      while (waiting.length > 0) yield await place();
    } finally {
      await Promise.allSettled(waiting.map(({ frame }) => frame));
    }
  }

  /** To be asked once, when `frames` has ended. */
  finish(): WrittenEntries {
    return {
      places: this.#places,
      sha256: this.#running.digest(),
      counts: { modules: this.#modules, versions: this.#versions, bytes: this.#bytes },
      databases: [...this.#databases].sort(),
    };
  }

  async *#blocks(batches: AsyncIterable<readonly string[]>): AsyncGenerator<Block> {
    let lines: string[] = [];
    let size = 0;
    let first = "";
    let continued = false;
    const take = (next: string, more: boolean): Block => {
      const text = Buffer.from(`${lines.join("\n")}\n`);
      const block = { text, first, continued, size: text.byteLength };
      [lines, size, first, continued] = [[], 0, next, more];
      return block;
    };
    for await (const batch of batches) {
      for (const line of batch) {
        const { path } = versionOfLine(line);
        const isNew = path !== this.#lastModule;
        if (lines.length > 0 && size >= (isNew ? BLOCK_SIZE : LARGEST_BLOCK)) yield take(path, !isNew);
        else if (lines.length === 0) first = path;
        this.#count(line, isNew);
        this.#lastModule = path;
        lines.push(line);
        size += Buffer.byteLength(line) + 1;
      }
    }
    if (lines.length > 0) yield take("", false);
  }

  #count(line: string, isNewModule: boolean): void {
    this.#versions++;
    if (isNewModule) this.#modules++;
    this.#bytes += numberAfter(line, '"modSize":') + numberAfter(line, '"zipSize":');
    const proofs = line.lastIndexOf('"sumdb":{');
    if (proofs < 0) return;
    for (const [, name] of line.slice(proofs + '"sumdb":{'.length).matchAll(/"([^"]+)":/g))
      if (name !== undefined) this.#databases.add(name);
  }
}

/** That its size is known beforehand spares zstd a window of 2 MB and more (ZSTD_CCtx_setPledgedSrcSize). */
async function compressed(text: Buffer): Promise<Uint8Array> {
  return await compress(text, { ...WITH_CHECKSUM, pledgedSrcSize: text.byteLength });
}

interface Block {
  readonly text: Buffer;
  readonly first: string;
  readonly continued: boolean;
  readonly size: number;
}

/** A field's number; a quote within a text is escaped, so that no text holds a field's name as it stands. */
function numberAfter(line: string, field: string): number {
  const at = line.indexOf(field);
  return at < 0 ? 0 : Number.parseInt(line.slice(at + field.length, at + field.length + 16), 10);
}
