import { comparePaths } from "../../gomod/module-path.ts";
import { type Body, isSpool, type Sha256, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { collect, memoryObject } from "../../mirror/memory-object.ts";
import type { StoredObject, Tree } from "../../mirror/ports.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { type FaultHook, underFault } from "./fault.ts";

/** A write that took effect: `create` made the key, `replace` stored new bytes under it, `remove` took it away. */
export interface TreeWrite {
  readonly op: "create" | "replace" | "remove";
  readonly key: TreeKey;
}

/** A Tree in memory, for tests: it records each write in order, and `fault` decides what goes wrong. */
export class MemoryTree implements Tree {
  /** Every write that took effect, in order. */
  readonly writes: TreeWrite[] = [];
  readonly #objects = new Map<TreeKey, Uint8Array>();
  readonly #fault: FaultHook | undefined;

  constructor(fault?: FaultHook) {
    this.#fault = fault;
  }

  async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const bytes = isSpool(body) ? await collect(body.stream()) : Uint8Array.from(body);
    return underFault(this.#fault, { method: "tree.create", key }, () => {
      if (sha256Of(bytes) !== sha256) {
        throw new MirrorError("transient", key, `${key}: damaged on the way; its SHA-256 is not ${sha256}`);
      }
      if (this.#objects.has(key)) return "exists";
      this.#store("create", key, bytes);
      return "created";
    });
  }

  async replace(key: TreeKey, body: Body, previous: string | undefined): Promise<"replaced" | "changed"> {
    const copy = isSpool(body) ? await collect(body.stream()) : Uint8Array.from(body);
    return await underFault(this.#fault, { method: "tree.replace", key }, () => {
      const current = this.#objects.get(key);
      if ((current && sha256Of(current)) !== previous) return "changed";
      this.#store("replace", key, copy);
      return "replaced";
    });
  }

  remove(key: TreeKey, previous: string): Promise<"removed" | "changed"> {
    return underFault(this.#fault, { method: "tree.remove", key }, () => {
      const current = this.#objects.get(key);
      if (current !== undefined && sha256Of(current) !== previous) return "changed";
      if (this.#objects.delete(key)) this.writes.push({ op: "remove", key });
      return "removed";
    });
  }

  get(key: TreeKey, limit: number): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    return underFault(this.#fault, { method: "tree.get", key }, () => {
      const bytes = this.#objects.get(key);
      if (bytes === undefined) return undefined;
      if (bytes.byteLength > limit) {
        throw new MirrorError("malformed", key, `${key}: larger than the ${limit} bytes allowed`);
      }
      return { bytes: Uint8Array.from(bytes), etag: sha256Of(bytes) };
    });
  }

  open(key: TreeKey): Promise<StoredObject | undefined> {
    return underFault(this.#fault, { method: "tree.open", key }, () => {
      const bytes = this.#objects.get(key);
      return bytes && memoryObject(bytes, sha256Of(bytes));
    });
  }

  async *keys(after = ""): AsyncGenerator<{ key: string; size: number }> {
    const behind = [...this.#objects].filter(([key]) => comparePaths(key, after) > 0);
    for (const [key, bytes] of behind.sort(([a], [b]) => comparePaths(a, b)))
      yield { key, size: bytes.byteLength };
  }

  async link(): Promise<undefined> {
    return undefined;
  }

  #store(op: TreeWrite["op"], key: TreeKey, bytes: Uint8Array): void {
    this.#objects.set(key, bytes);
    this.writes.push({ op, key });
  }
}
