import { parseVersionList } from "../../gomod/list-file.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { Body, Sha256 } from "../../mirror/body.ts";
import type { Tree } from "../../mirror/ports.ts";
import {
  infoKey,
  lookupKey,
  modKey,
  parseTreeKey,
  type TreeKey,
  tileKey,
  zipKey,
} from "../../mirror/tree-keys.ts";
import { parseVerifierKey, type Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import type { Tile } from "../../sumdb/tile.ts";

export interface WatchedWrite {
  readonly operation: "create" | "replace";
  readonly key: TreeKey;
}

/**
 * A tree whose writes are recorded, and which looks after each write, as a reader, whether a list names what is not
 * there whole, or a lookup cannot be verified.
 */
export class WatchedTree implements Tree {
  readonly writes: WatchedWrite[] = [];
  /** What a reader saw that must never be seen. */
  readonly broken: string[] = [];
  readonly #inner: Tree;
  readonly #verifier: Verifier;

  constructor(inner: Tree, vkey: string) {
    this.#inner = inner;
    this.#verifier = parseVerifierKey(vkey);
  }

  async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const result = await this.#inner.create(key, body, sha256);
    if (result === "created") await this.#written({ operation: "create", key });
    return result;
  }

  async replace(
    key: TreeKey,
    bytes: Uint8Array,
    previous: string | undefined,
  ): Promise<"replaced" | "changed"> {
    const result = await this.#inner.replace(key, bytes, previous);
    if (result === "replaced") await this.#written({ operation: "replace", key });
    return result;
  }

  remove = (key: TreeKey, previous: string) => this.#inner.remove(key, previous);
  get = (key: TreeKey, limit: number) => this.#inner.get(key, limit);
  open = (key: TreeKey) => this.#inner.open(key);
  keys = () => this.#inner.keys();
  link = (key: TreeKey, seconds: number) => this.#inner.link(key, seconds);

  async #written(write: WatchedWrite): Promise<void> {
    this.writes.push(write);
    const entry = parseTreeKey(write.key);
    if (entry?.kind === "list") await this.#checkList(write.key);
    if (entry?.kind === "lookup") await this.#checkLookup(entry.version);
  }

  /** As a fresh go client without network: every tile that the lookup needs must be there before it. */
  async #checkLookup(version: ModuleVersion): Promise<void> {
    const { name } = this.#verifier;
    const read = async (key: TreeKey) => (await this.#inner.get(key, 1 << 20))?.bytes;
    const tree = {
      read: (tile: Tile) => read(tileKey(name, tile)),
      lookup: (asked: ModuleVersion) => read(lookupKey(name, asked)),
    };
    try {
      await new OfflineClient({ verifier: this.#verifier, tree }).lookup(version);
    } catch (error) {
      this.broken.push(`${lookupKey(name, version)}: ${error}`);
    }
  }

  async #checkList(key: TreeKey): Promise<void> {
    const entry = parseTreeKey(key);
    const stored = await this.#inner.get(key, 1 << 20);
    if (entry?.kind !== "list" || stored === undefined) return;
    for (const version of parseVersionList(stored.bytes).versions) {
      for (const file of [infoKey, modKey, zipKey]) {
        const needed = file({ path: entry.path, version });
        const found = await this.#inner.open(needed);
        if (found === undefined) this.broken.push(`${key} names ${version}, but ${needed} is not there`);
        await found?.close();
      }
    }
  }
}
