import { PassThrough, pipeline } from "node:stream";
import { promisify } from "node:util";
import { createZstdDecompress, zstdCompress, zstdDecompress } from "node:zlib";
import { sha256Stream } from "../body.ts";
import { MirrorError } from "../errors.ts";
import type { Vault } from "../ports.ts";
import type { TreeKey } from "../tree-keys.ts";
import { packVulndb } from "../vulndb.ts";
import { INDEX_FILES, vulndbKey } from "../vulndb-keys.ts";
import { type ArchivedFile, LARGEST_ARCHIVE, parseArchiveLine } from "./vulndb-archive.ts";

/** Files of one block, uncompressed: an entry has some 3 KB, and is found by unpacking its block, in about half a ms. */
const BLOCK = 64 * 1024;
/** All blocks of a database: 24 MB of text have some 7 MB so. A larger one is not served from snapshots. */
const LARGEST_PACKED = 64 * 1024 * 1024;
/** The longest one is an index of some MB, with its quotes escaped. */
const LONGEST_LINE = 32 * 1024 * 1024;
/** Packing an index takes a hundred times as long as an entry, and each client begins with them. */
const LARGEST_KEPT = 4 * 1024 * 1024;
const UTF8 = new TextDecoder("utf-8", { fatal: true });
const INDEXES: ReadonlySet<TreeKey> = new Set(INDEX_FILES.map((file) => vulndbKey(file, "json")));

interface Place {
  readonly block: number;
  readonly offset: number;
  readonly length: number;
}

/**
 * An archive of the vulnerability database (vulndb-archive.ts), read once and kept in memory in packed blocks, so that any
 * file of it is at hand: the archive is one zstd frame, which can be read from its beginning only.
 */
export class PackedVulndb {
  readonly #blocks: { readonly packed: Uint8Array; readonly size: number }[] = [];
  readonly #places = new Map<string, Place>();
  readonly #indexes = new Map<TreeKey, Promise<Uint8Array>>();
  #packed = 0;

  /**
   * @param key the archive's in the vault.
   * @throws MirrorError malformed where it is missing, damaged, no archive, or too large; transient as the vault.
   */
  static async read(vault: Pick<Vault, "open">, key: string): Promise<PackedVulndb> {
    const archive = await vault.open(key);
    if (archive === undefined) throw damaged(key, "it is missing");
    const database = new PackedVulndb();
    try {
      await database.#fill(key, archive.stream());
    } finally {
      await archive.close();
    }
    return database;
  }

  /** A file's bytes as the tree had them, in the form that the key names; undefined where the database had none such. */
  async file(key: TreeKey): Promise<Uint8Array | undefined> {
    const plain = key.replace(/\.gz$/, "") as TreeKey;
    const place = this.#places.get(plain);
    if (place === undefined) return undefined;
    if (plain === key) return await this.#unpacked(place);
    if (!INDEXES.has(plain) || place.length > LARGEST_KEPT)
      return await packVulndb(await this.#unpacked(place));
    const known = this.#indexes.get(plain);
    if (known !== undefined) return await known;
    const packed = this.#unpacked(place).then(packVulndb);
    this.#indexes.set(plain, packed);
    packed.catch(() => this.#indexes.delete(plain));
    return await packed;
  }

  async #unpacked({ block, offset, length }: Place): Promise<Uint8Array> {
    const { packed, size } = this.#blocks[block] as { packed: Uint8Array; size: number };
    const whole = await promisify(zstdDecompress)(packed, { maxOutputLength: Math.max(1, size) });
    return whole.subarray(offset, offset + length);
  }

  async #fill(key: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
    const running = sha256Stream();
    let some: ArchivedFile[] = [];
    let size = 0;
    let last = "";
    for await (const line of linesOf(key, unpackedArchive(key, archive), running.update)) {
      const file = parseArchiveLine(line, key);
      if (file.key <= last) throw damaged(key, `${file.key} is out of order`);
      last = file.key;
      some.push(file);
      size += file.bytes.byteLength;
      if (size < BLOCK) continue;
      await this.#add(key, some);
      some = [];
      size = 0;
    }
    if (some.length > 0) await this.#add(key, some);
    const named = /-([0-9a-f]{16})\.ndjson\.zst$/.exec(key)?.[1];
    if (named !== undefined && !running.digest().startsWith(named))
      throw damaged(key, "its content is not what its name says");
  }

  async #add(key: string, files: readonly ArchivedFile[]): Promise<void> {
    const whole = Buffer.concat(files.map(({ bytes }) => bytes));
    let offset = 0;
    for (const file of files) {
      const length = file.bytes.byteLength;
      this.#places.set(file.key, { block: this.#blocks.length, offset, length });
      offset += length;
    }
    // A copy: what zlib gives may be the beginning of a much larger buffer.
    const packed = new Uint8Array(await promisify(zstdCompress)(whole));
    this.#packed += packed.byteLength;
    if (this.#packed > LARGEST_PACKED)
      throw damaged(
        key,
        `it is larger than ${LARGEST_PACKED} bytes, packed, and is not served from a snapshot`,
      );
    this.#blocks.push({ packed, size: whole.byteLength });
  }
}

/** The archive's text, in chunks. */
async function* unpackedArchive(key: string, archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let failure: Error | null | undefined;
  let fault: unknown;
  const source = async function* () {
    try {
      yield* archive;
    } catch (thrown) {
      fault = thrown;
      throw thrown;
    }
  };
  const out = new PassThrough();
  pipeline(source, createZstdDecompress(), out, (error) => {
    failure = error;
  });
  try {
    for await (const chunk of out) yield chunk as Uint8Array;
    if (failure) throw failure;
  } catch (thrown) {
    // What the vault says of itself, not what a stream makes of it.
    if (fault !== undefined) throw fault;
    throw damaged(key, "it cannot be unpacked", thrown);
  }
}

/** Each line's text, without its end; each ends. */
async function* linesOf(
  key: string,
  chunks: AsyncIterable<Uint8Array>,
  each: (chunk: Uint8Array) => void,
): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > LARGEST_ARCHIVE) throw damaged(key, `more than ${LARGEST_ARCHIVE} bytes`);
    each(chunk);
    for (let from = 0; from < chunk.byteLength; ) {
      const end = chunk.indexOf(0x0a, from);
      const part = chunk.subarray(from, end < 0 ? chunk.byteLength : end);
      parts.push(part);
      length += part.byteLength;
      if (length > LONGEST_LINE) throw damaged(key, `a line of more than ${LONGEST_LINE} bytes`);
      from = end < 0 ? chunk.byteLength : end + 1;
      if (end < 0) break;
      yield decodedLine(key, Buffer.concat(parts));
      parts = [];
      length = 0;
    }
  }
  if (length > 0) throw damaged(key, "it ends within a line");
}

function decodedLine(key: string, bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw damaged(key, "not UTF-8", cause);
  }
}

function damaged(key: string, why: string, cause?: unknown): MirrorError {
  return new MirrorError("malformed", key, `${key}: ${why}`, { cause });
}
