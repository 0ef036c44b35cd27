// Run by kill.test.ts: `kill-child.ts STORE MOMENT N ARGS…` runs `modferry ARGS` in this process, which sends itself
// SIGKILL right before or right after its Nth durable write of the tree, the vault or the ledger. With N = 0 it counts
// them.
import { writeFileSync } from "node:fs";
import { FolderTree } from "../../adapters/local/folder-tree.ts";
import { FolderVault } from "../../adapters/local/folder-vault.ts";
import { SqliteLedger } from "../../adapters/local/sqlite-ledger.ts";

const [store = "", moment = "", nth = "", countFile = "", ...args] = process.argv.slice(2);
const fatal = Number(nth);
let writes = 0;

type Method = (...args: unknown[]) => Promise<unknown>;

const die = () => process.kill(process.pid, "SIGKILL");

/** Counts the calls that change something, in the order in which they begin (`before`) or end (`after`). */
function wrap(prototype: object, names: readonly string[]): void {
  for (const name of names) {
    const inner = Reflect.get(prototype, name) as Method;
    Reflect.set(prototype, name, async function (this: unknown, ...given: unknown[]) {
      if (moment === "before" && ++writes === fatal) die();
      const result = await inner.apply(this, given);
      // What another writer, or an earlier run, has done is no write.
      if (moment === "after" && result !== "exists" && result !== "changed" && ++writes === fatal) die();
      return result;
    });
  }
}

if (store === "tree") wrap(FolderTree.prototype, ["create", "replace"]);
else if (store === "vault") wrap(FolderVault.prototype, ["put", "create"]);
else {
  const changing = ["write", "writeRequest", "openOrders", "closeOrder", "addHead", "takeLease"];
  wrap(SqliteLedger.prototype, [...changing, "releaseLease"]);
}
process.once("exit", () => {
  if (fatal === 0) writeFileSync(countFile, String(writes));
});

process.argv.splice(2, process.argv.length, ...args);
await import("../../cli/modferry.ts");
