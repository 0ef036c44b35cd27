import { comparePaths } from "../../gomod/module-path.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { Vault } from "../../mirror/ports.ts";
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

  async *keys(prefix: string): AsyncGenerator<string> {
    const keys = await underFault(this.#fault, { method: "vault.keys", key: prefix }, () => [
      ...this.#objects.keys(),
    ]);
    yield* keys.filter((key) => key.startsWith(prefix)).sort(comparePaths);
  }
}
