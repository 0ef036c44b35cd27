import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { describeWithGo } from "../go-command.ts";
import { mirrorSuite } from "./mirror-suite.ts";

describeWithGo("a mirror's engine on a desk", () => {
  mirrorSuite("memory", async () => {
    const queue = new MemoryQueue();
    return {
      tree: new MemoryTree(),
      vault: new MemoryVault(),
      ledger: new MemoryLedger(),
      queue,
      drain: (handle) => queue.drain(handle, { concurrency: 8 }),
      dispose: async () => {},
    };
  });

  mirrorSuite("a folder and SQLite", async () => {
    const folder = await mkdtemp(join(tmpdir(), "modferry-suite-"));
    const { tree, vault, ledger, close } = await openFolderMirror(join(folder, "mirror"), { mode: "write" });
    const queue = new MemoryQueue();
    return {
      tree,
      vault,
      ledger,
      queue,
      drain: (handle) => queue.drain(handle, { concurrency: 8 }),
      dispose: async () => {
        await close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  });
});
