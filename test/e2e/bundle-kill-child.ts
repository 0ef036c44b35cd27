// Run by bundle-kill.test.ts: `bundle-kill-child.ts N FILE ARGS…` runs `modferry ARGS` in this process, which sends itself
// SIGKILL right before (N even) or right after its durable write number N/2, of tree, vault and ledger alike, each link
// among those that a tree makes together counted by itself. With N = 0 it writes their count into FILE.
import fs, { writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { FolderTree } from "../../adapters/local/folder-tree.ts";
import { FolderVault } from "../../adapters/local/folder-vault.ts";
import { SqliteLedger } from "../../adapters/local/sqlite-ledger.ts";

const [nth = "", countFile = "", ...args] = process.argv.slice(2);
const fatal = Math.floor(Number(nth) / 2);
const before = Number(nth) % 2 === 0;
let writes = 0;

const { linkSync } = fs;
fs.linkSync = (...given) => {
  const isLast = ++writes === fatal;
  if (isLast && before) process.kill(process.pid, "SIGKILL");
  linkSync(...given);
  if (isLast) process.kill(process.pid, "SIGKILL");
};
syncBuiltinESMExports();

type Method = (...args: unknown[]) => Promise<unknown>;

function wrap(prototype: object, names: readonly string[]): void {
  for (const name of names) {
    const inner = Reflect.get(prototype, name) as Method;
    Reflect.set(prototype, name, async function (this: unknown, ...given: unknown[]) {
      const isLast = ++writes === fatal;
      if (isLast && before) process.kill(process.pid, "SIGKILL");
      const result = await inner.apply(this, given);
      if (isLast) process.kill(process.pid, "SIGKILL");
      return result;
    });
  }
}

wrap(FolderTree.prototype, ["create", "createAll", "replace", "remove"]);
wrap(FolderVault.prototype, ["create", "put", "remove"]);
wrap(SqliteLedger.prototype, ["write", "writeItem", "deleteItem", "addHead"]);
process.once("exit", () => {
  if (fatal === 0) writeFileSync(countFile, String(writes));
});

process.argv.splice(2, process.argv.length, ...args);
await import("../../cli/modferry.ts");
