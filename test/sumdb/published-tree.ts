import type { ModuleVersion } from "../../gomod/version.ts";
import type { ProvenRecord, SumdbClient } from "../../sumdb/client.ts";
import { formatLookup } from "../../sumdb/lookup.ts";
import type { OfflineTree } from "../../sumdb/offline-client.ts";
import { type ProvenTile, type Tile, tilePath } from "../../sumdb/tile.ts";
import { base64 } from "./oracle.ts";

export function modVersion(path: string, version = "v1.0.0"): ModuleVersion {
  return { path, version } as ModuleVersion;
}

/** Record `id` of a private database that was grown (PrivateDatabase.grow). */
export const grown = (id: number) => modVersion(`example.com/m${id}`);

/** A mirror's tree in memory: what is published, and nothing else, is what its clients can read. */
export class PublishedTree implements OfflineTree {
  readonly files = new Map<string, Uint8Array>();

  read = async (tile: Tile) => this.files.get(`/${tilePath(tile)}`);
  lookup = async (version: ModuleVersion) => this.files.get(lookupPath(version));

  /** Stores tiles, create-only; what exists must be the same. */
  store(tiles: readonly ProvenTile[]): void {
    for (const { tile, bytes } of tiles) this.#create(`/${tilePath(tile)}`, bytes);
  }

  /** Tiles first, then the lookup; one that exists stays, with its older head. */
  publish(version: ModuleVersion, record: ProvenRecord, client?: SumdbClient): void {
    this.store(record.tiles);
    client?.stored(record.tiles.map(({ tile }) => tile));
    const path = lookupPath(version);
    if (!this.files.has(path)) this.files.set(path, formatLookup(record.id, record.text, record.head.note));
  }

  #create(path: string, bytes: Uint8Array): void {
    const there = this.files.get(path);
    if (there !== undefined && Buffer.compare(there, bytes) !== 0) throw new Error(`${path} would change`);
    this.files.set(path, bytes);
  }

  copy(): PublishedTree {
    const copy = new PublishedTree();
    for (const [path, bytes] of this.files) copy.files.set(path, bytes);
    return copy;
  }

  /** The versions of all lookups, as `path@version`. */
  lookups(): string[] {
    return [...this.files.keys()]
      .filter((path) => path.startsWith("/lookup/"))
      .map((path) => path.slice("/lookup/".length));
  }

  tiles(): string[] {
    return [...this.files.keys()].filter((path) => path.startsWith("/tile/"));
  }

  /** For the oracle. */
  encoded(): Record<string, string> {
    return Object.fromEntries([...this.files].map(([path, bytes]) => [path, base64(bytes)]));
  }
}

export function lookupPath({ path, version }: ModuleVersion): string {
  return `/lookup/${path}@${version}`;
}

/** The same order in every run. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state;
  };
  return items
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
