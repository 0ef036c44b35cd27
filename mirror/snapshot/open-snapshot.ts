import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import { z } from "zod";
import { comparePaths, type ModulePath } from "../../gomod/module-path.ts";
import { parseTilePath, tilePath } from "../../sumdb/tile.ts";
import { MirrorError } from "../errors.ts";
import type { StoredObject, Vault } from "../ports.ts";
import { type BlockPlace, LARGEST_BLOCK, WITH_CHECKSUM } from "./block-writer.ts";
import type { Snapshot } from "./snapshot.ts";
import { compareEntries, parseEntry, type SnapshotEntry } from "./snapshot-entry.ts";
import { LARGEST_HEADER, parseHeader, type SnapshotHeader } from "./snapshot-header.ts";
import {
  ENTRIES_FILE,
  HEADER_FILE,
  INDEX_FILE,
  type SnapshotName,
  snapshotKey,
  tilesFile,
} from "./snapshot-name.ts";

/** Uncompressed: some 100 bytes for each of the blocks that 100 million versions fill. */
const LARGEST_INDEX = 64 * 1024 * 1024;
/** Uncompressed: a path of some 30 bytes for each of the tiles of 100 million records. */
const LARGEST_TILES = 256 * 1024 * 1024;
/** One line may reach over the cut: a line of an entry has some 600 bytes, its module's path at most 2,048. */
const LONGEST_LINE = 8 * 1024;

const decompress = promisify(zstdDecompress);
const count = z.int().min(0);
const indexShape = z.strictObject({
  blocks: z.array(
    z.strictObject({
      first: z.string(),
      continued: z.exactOptional(z.literal(true)),
      offset: count,
      length: count,
      size: count.max(LARGEST_BLOCK + LONGEST_LINE + 1),
    }),
  ),
});

/** `index.json.zst`: for each block its first module, and where it lies. */
export async function printIndex(places: readonly BlockPlace[]): Promise<Uint8Array> {
  const blocks = places.map(({ first, continued, offset, length, size }) => ({
    first,
    ...(continued ? { continued } : {}),
    offset,
    length,
    size,
  }));
  const lines = blocks.map((block) => JSON.stringify(block)).join(",\n");
  return await promisify(zstdCompress)(`{"blocks":[\n${lines}\n]}\n`, WITH_CHECKSUM);
}

/** The header alone; undefined where no such snapshot is announced. */
export async function readHeader(
  vault: Pick<Vault, "get">,
  name: SnapshotName,
): Promise<SnapshotHeader | undefined> {
  const bytes = await vault.get(snapshotKey(name, HEADER_FILE), LARGEST_HEADER);
  return bytes && parseHeader(bytes, name);
}

/** Opens a snapshot; undefined where none of that name is announced. The caller closes it. */
export async function openSnapshot(
  vault: Pick<Vault, "get" | "open">,
  name: SnapshotName,
): Promise<Snapshot | undefined> {
  const header = await readHeader(vault, name);
  return header && new StoredSnapshot(vault, header);
}

class StoredSnapshot implements Snapshot {
  readonly header: SnapshotHeader;
  readonly #vault: Pick<Vault, "get" | "open">;
  #entries: Promise<StoredObject> | undefined;
  #index: Promise<readonly BlockPlace[]> | undefined;
  /** The block that was read last for a module: who asks for one often asks for its neighbour next. */
  #last: { readonly offset: number; readonly lines: readonly string[] } | undefined;

  constructor(vault: Pick<Vault, "get" | "open">, header: SnapshotHeader) {
    this.#vault = vault;
    this.header = header;
  }

  async *entries(): AsyncGenerator<SnapshotEntry> {
    for await (const lines of this.lines()) yield* lines.map((line) => this.#parsed(line));
  }

  async *lines(): AsyncGenerator<readonly string[]> {
    const places = await this.#places();
    let next: Promise<readonly string[]> | undefined;
    try {
      for (const [at, place] of places.entries()) {
        const lines = await (next ?? this.#block(place));
        const following = places[at + 1];
        // The next one is read and unpacked on the thread pool meanwhile.
        next = following && this.#block(following);
        next?.catch(() => undefined);
        yield lines;
      }
    } finally {
      await next?.catch(() => undefined);
    }
  }

  async module(path: ModulePath): Promise<readonly SnapshotEntry[]> {
    const found: SnapshotEntry[] = [];
    for (const place of blocksOf(await this.#places(), path)) {
      const start = `{"module":"${path}",`;
      const { offset } = place;
      const lines = this.#last?.offset === offset ? this.#last.lines : await this.#block(place);
      this.#last = { offset, lines };
      for (const line of lines) if (line.startsWith(start)) found.push(this.#parsed(line));
    }
    return found.sort(compareEntries);
  }

  async *tiles(database: string): AsyncGenerator<string> {
    if (this.header.tiles[database] === undefined) return;
    const file = tilesFile(database);
    const text = await this.#unpacked(file, await this.#whole(file, LARGEST_TILES), LARGEST_TILES);
    let last = "";
    for (let at = 0; at < text.length; ) {
      const end = text.indexOf("\n", at);
      const path = text.slice(at, end);
      if (end < 0 || path <= last || !isTilePath(path)) throw this.#damaged(file);
      yield path;
      last = path;
      at = end + 1;
    }
  }

  async close(): Promise<void> {
    const entries = this.#entries;
    this.#entries = undefined;
    await (await entries?.catch(() => undefined))?.close();
  }

  /** A read that fails is tried again by the next call. */
  #places(): Promise<readonly BlockPlace[]> {
    if (this.#index !== undefined) return this.#index;
    const index = this.#readPlaces();
    this.#index = index;
    index.catch(() => {
      this.#index = undefined;
    });
    return index;
  }

  async #readPlaces(): Promise<readonly BlockPlace[]> {
    const text = await this.#unpacked(
      INDEX_FILE,
      await this.#whole(INDEX_FILE, LARGEST_INDEX),
      LARGEST_INDEX,
    );
    try {
      const { blocks } = indexShape.parse(JSON.parse(text));
      return blocks.map(({ continued = false, ...place }) => ({ ...place, continued }));
    } catch (cause) {
      throw this.#damaged(INDEX_FILE, cause);
    }
  }

  async #block({ offset, length, size }: BlockPlace): Promise<readonly string[]> {
    const bytes = await (await this.#open()).read(offset, length);
    if (bytes.byteLength !== length) throw this.#damaged(ENTRIES_FILE);
    const text = await this.#unpacked(ENTRIES_FILE, bytes, size);
    if (!text.endsWith("\n")) throw this.#damaged(ENTRIES_FILE);
    return text.slice(0, -1).split("\n");
  }

  #open(): Promise<StoredObject> {
    if (this.#entries !== undefined) return this.#entries;
    const opened = this.#vault.open(snapshotKey(this.header.name, ENTRIES_FILE)).then((object) => {
      if (object === undefined) throw this.#damaged(ENTRIES_FILE);
      return object;
    });
    this.#entries = opened;
    opened.catch(() => {
      this.#entries = undefined;
    });
    return opened;
  }

  async #whole(file: string, limit: number): Promise<Uint8Array> {
    const bytes = await this.#vault.get(snapshotKey(this.header.name, file), limit);
    if (bytes === undefined) throw this.#damaged(file);
    return bytes;
  }

  async #unpacked(file: string, bytes: Uint8Array, limit: number): Promise<string> {
    try {
      // A limit of nothing means none to zlib.
      return (await decompress(bytes, { maxOutputLength: Math.max(1, limit) })).toString("utf8");
    } catch (cause) {
      throw this.#damaged(file, cause);
    }
  }

  #parsed(line: string): SnapshotEntry {
    try {
      return parseEntry(line);
    } catch (cause) {
      throw this.#damaged(ENTRIES_FILE, cause);
    }
  }

  #damaged(file: string, cause?: unknown): MirrorError {
    const { name } = this.header;
    const message = `snapshot ${name}: ${file} is damaged or missing; take a new one with \`modferry snapshot take --full\``;
    return new MirrorError("malformed", name, message, { cause });
  }
}

/** The blocks that may hold entries of a module: one, or where it is large those behind too. */
export function blocksOf(places: readonly BlockPlace[], path: string): readonly BlockPlace[] {
  let [low, high] = [0, places.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePaths((places[middle] as BlockPlace).first, path) <= 0) low = middle + 1;
    else high = middle;
  }
  let first = low - 1;
  while (first > 0 && places[first]?.first === path && places[first]?.continued) first--;
  return first < 0 ? [] : places.slice(first, low);
}

function isTilePath(path: string): boolean {
  try {
    return tilePath(parseTilePath(path)) === path;
  } catch {
    return false;
  }
}
