import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { ledgerContract } from "./ledger-contract.ts";
import { queueContract } from "./queue-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";

treeContract("MemoryTree", async () => ({ tree: new MemoryTree() }));
vaultContract("MemoryVault", async () => ({ vault: new MemoryVault() }));
ledgerContract("MemoryLedger", async () => {
  const ledger = new MemoryLedger();
  return { ledger, journal: async () => ledger.journalLines };
});
queueContract("MemoryQueue", async () => {
  const queue = new MemoryQueue();
  const takeAll = async () => {
    const taken = [];
    for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push(next);
    return taken;
  };
  return { queue, receive: takeAll };
});
