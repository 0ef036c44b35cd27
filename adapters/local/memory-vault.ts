import { comparePaths } from "../../gomod/module-path.ts";
import { type Body, isSpool, type Sha256, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { collect, memoryObject } from "../../mirror/memory-object.ts";
import type { StoredObject, Vault } from "../../mirror/ports.ts";
import { type FaultHook, underFault } from "./fault.ts";

/** A Vault in memory, for tests; `fault` decides what goes wrong. */
export class MemoryVault implements Vault {
  readonly #objects = new Map<string, Uint8Array>();
  readonly #fault: FaultHook | undefined;

  constructor(fault?: FaultHook) {
    this.#fault = fault;
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    const copy = Uint8Array.from(bytes);
    return underFault(this.#fault, { method: "vault.put", key }, () => {
      this.#objects.set(key, copy);
    });
  }

  get(key: string, limit: number): Promise<Uint8Array | undefined> {
    return underFault(this.#fault, { method: "vault.get", key }, () => {
      const bytes = this.#objects.get(key);
      if (bytes !== undefined && bytes.byteLength > limit) {
        throw new MirrorError("malformed", key, `${key}: larger than the ${limit} bytes allowed`);
      }
      return bytes && Buffer.from(bytes);
    });
  }

  async create(key: string, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const bytes = isSpool(body) ? await collect(body.stream()) : Uint8Array.from(body);
    return await underFault(this.#fault, { method: "vault.create", key }, () => {
      if (sha256Of(bytes) !== sha256) {
        throw new MirrorError("transient", key, `${key}: damaged on the way; its SHA-256 is not ${sha256}`);
      }
      if (this.#objects.has(key)) return "exists";
      this.#objects.set(key, bytes);
      return "created";
    });
  }

  open(key: string): Promise<StoredObject | undefined> {
    return underFault(this.#fault, { method: "vault.open", key }, () => {
      const bytes = this.#objects.get(key);
      return bytes && memoryObject(bytes, sha256Of(bytes));
    });
  }

  remove(key: string): Promise<void> {
    return underFault(this.#fault, { method: "vault.remove", key }, () => {
      this.#objects.delete(key);
    });
  }

  async *keys(prefix: string): AsyncGenerator<string> {
    const keys = await underFault(this.#fault, { method: "vault.keys", key: prefix }, () => [
      ...this.#objects.keys(),
    ]);
    yield* keys.filter((key) => key.startsWith(prefix)).sort(comparePaths);
  }
}
