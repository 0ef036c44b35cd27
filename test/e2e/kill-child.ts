// Run by kill.test.ts: `kill-child.ts STORE MOMENT N ARGS…` runs `modferry ARGS` in this process, which sends itself
// SIGKILL right before or right after its Nth durable write of the tree (a name that appears in it, or is another file's
// from then on), the vault or the ledger. With N = 0 it counts them.
import fs, { promises, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { FolderVault } from "../../adapters/local/folder-vault.ts";
import { SqliteLedger } from "../../adapters/local/sqlite-ledger.ts";

const [store = "", moment = "", nth = "", countFile = "", ...args] = process.argv.slice(2);
const fatal = Number(nth);
let writes = 0;

type Method = (...args: unknown[]) => Promise<unknown>;
type Naming<Result> = (from: string, to: string) => Result;

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

/** The same of a file system's call, where its new name is the tree's. */
function wrapNaming<Result>(name: Naming<Result>): Naming<Result> {
  return (from: string, to: string): Result => {
    const counts = to.includes("/tree/");
    if (counts && moment === "before" && ++writes === fatal) die();
    const result = name(from, to);
    if (!counts || moment !== "after") return result;
    const named = <Value>(value: Value): Value => {
      if (++writes === fatal) die();
      return value;
    };
    return (result instanceof Promise ? result.then(named) : named(result)) as Result;
  };
}

if (store === "tree") {
  fs.linkSync = wrapNaming(fs.linkSync as Naming<void>) as typeof fs.linkSync;
  fs.renameSync = wrapNaming(fs.renameSync as Naming<void>) as typeof fs.renameSync;
  promises.link = wrapNaming(promises.link as Naming<Promise<void>>) as typeof promises.link;
  syncBuiltinESMExports();
} else if (store === "vault") wrap(FolderVault.prototype, ["put", "create"]);
else {
  const changing = ["write", "writeRequest", "openOrders", "closeOrder", "addHead", "takeLease"];
  wrap(SqliteLedger.prototype, [...changing, "releaseLease"]);
}
process.once("exit", () => {
  if (fatal === 0) writeFileSync(countFile, String(writes));
});

process.argv.splice(2, process.argv.length, ...args);
await import("../../cli/modferry.ts");
