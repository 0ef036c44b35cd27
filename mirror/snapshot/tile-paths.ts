import { PassThrough, pipeline } from "node:stream";
import { constants, createZstdCompress } from "node:zlib";
import { type Sha256, sha256Stream } from "../body.ts";
import type { Tree } from "../ports.ts";

/** Paths of some 30 bytes are joined into chunks. */
const PATHS_PER_CHUNK = 1_000;

/** The paths of a checksum database's tiles that the tree holds, `tile/8/…`, sorted by bytes. */
export async function* tilePaths(tree: Pick<Tree, "keys">, database: string): AsyncGenerator<string> {
  const folder = `sumdb/${database}/`;
  const prefix = `${folder}tile/8/`;
  for await (const { key } of tree.keys(prefix)) {
    if (!key.startsWith(prefix)) return;
    yield key.slice(folder.length);
  }
}

/** Lines as one zstd frame, and their SHA-256 once all of it was read. */
export class PackedLines {
  readonly #running = sha256Stream();

  async *chunks(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
    const packed = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } });
    const out = new PassThrough();
    let failure: Error | null | undefined;
    pipeline(this.#texts(lines), packed, out, (error) => {
      failure = error;
    });
    for await (const chunk of out) yield chunk as Uint8Array;
    if (failure) throw failure;
  }

  /** Of the lines with their line ends; to be asked once. */
  sha256(): Sha256 {
    return this.#running.digest();
  }

  async *#texts(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
    let some: string[] = [];
    const take = (): Uint8Array => {
      const text = Buffer.from(some.map((line) => `${line}\n`).join(""));
      some = [];
      this.#running.update(text);
      return text;
    };
    for await (const line of lines) {
      some.push(line);
      if (some.length === PATHS_PER_CHUNK) yield take();
    }
    if (some.length > 0) yield take();
  }
}
