import type { Ledger, Tree, Vault } from "../mirror/ports.ts";
import type { TickHold } from "../mirror/tick-hold.ts";

interface Stores {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
}

/** Stores that answer only while what was held off is held off still. */
export function checkedStores({ tree, vault, ledger }: Stores, { check }: Pick<TickHold, "check">): Stores {
  return { tree: checked(tree, check), vault: checked(vault, check), ledger: checked(ledger, check) };
}

/** Every method, reads too: what was read before somebody else went on would be written by the next call. */
function checked<T extends object>(port: T, check: () => void): T {
  return new Proxy(port, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        check();
        return value.apply(target, args);
      };
    },
  });
}
