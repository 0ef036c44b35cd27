import { parseVersionList } from "../../gomod/list-file.ts";
import type { Body, Sha256 } from "../../mirror/body.ts";
import type { Tree } from "../../mirror/ports.ts";
import { infoKey, modKey, parseTreeKey, type TreeKey, zipKey } from "../../mirror/tree-keys.ts";

export interface WatchedWrite {
  readonly operation: "create" | "replace";
  readonly key: TreeKey;
}

/**
 * A tree whose writes are recorded, and which looks after each write, as a reader, whether a list names what is not
 * there whole. After `dieAfter` writes nothing is done any more: the process is dead, as far as the store can tell.
 */
export class WatchedTree implements Tree {
  readonly writes: WatchedWrite[] = [];
  /** What a reader saw that must never be seen. */
  readonly broken: string[] = [];
  readonly #inner: Tree;
  readonly #dieAfter: number;

  constructor(inner: Tree, dieAfter = Number.POSITIVE_INFINITY) {
    this.#inner = inner;
    this.#dieAfter = dieAfter;
  }

  async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    this.#alive();
    const result = await this.#inner.create(key, body, sha256);
    if (result === "created") await this.#written({ operation: "create", key });
    return result;
  }

  async replace(
    key: TreeKey,
    bytes: Uint8Array,
    previous: string | undefined,
  ): Promise<"replaced" | "changed"> {
    this.#alive();
    const result = await this.#inner.replace(key, bytes, previous);
    if (result === "replaced") await this.#written({ operation: "replace", key });
    return result;
  }

  get = (key: TreeKey, limit: number) => this.#inner.get(key, limit);
  open = (key: TreeKey) => this.#inner.open(key);
  keys = () => this.#inner.keys();
  link = (key: TreeKey, seconds: number) => this.#inner.link(key, seconds);

  #alive(): void {
    if (this.writes.length >= this.#dieAfter) throw new Error("killed");
  }

  async #written(write: WatchedWrite): Promise<void> {
    this.writes.push(write);
    const entry = parseTreeKey(write.key);
    if (entry?.kind === "list") await this.#checkList(write.key);
    this.#alive();
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
