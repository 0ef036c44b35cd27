import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { openSqliteLedger } from "../../adapters/local/sqlite-ledger.ts";
import { isSpool } from "../../mirror/body.ts";
import type { JournalEntry } from "../../mirror/ledger-entries.ts";
import { ledgerContract } from "./ledger-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";

const makeFolder = (): string => mkdtempSync(join(tmpdir(), "modferry-contract-"));

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 60_000) yield bytes.subarray(at, at + 60_000);
}

/** A mirror in a new folder, and the same folder as another process reads it. */
async function makeMirror() {
  const folder = makeFolder();
  const mirror = await openFolderMirror(folder, { mode: "write" });
  const other = await openFolderMirror(folder, { mode: "read" });
  const dispose = async () => {
    await mirror.close();
    await other.close();
    rmSync(folder, { recursive: true });
  };
  return { folder, mirror, other, dispose };
}

function spoolIn(folder: string) {
  const spools = new SpoolFolder(join(folder, "tmp"), 0);
  return async (bytes: Uint8Array) => {
    const body = await spools.spool(chunksOf(bytes), bytes.byteLength);
    if (!isSpool(body)) throw new Error("not spooled");
    return body;
  };
}

treeContract("FolderTree", async () => {
  const { folder, mirror, other, dispose } = await makeMirror();
  return { tree: mirror.tree, other: other.tree, spool: spoolIn(folder), dispose };
});

vaultContract("FolderVault", async () => {
  const { folder, mirror, other, dispose } = await makeMirror();
  return { vault: mirror.vault, other: other.vault, spool: spoolIn(folder), dispose };
});

ledgerContract("SqliteLedger", async () => {
  const folder = makeFolder();
  const ledger = openSqliteLedger(join(folder, "ledger.sqlite"), "write");
  const journal = async () => {
    const lines: JournalEntry[] = [];
    for await (const line of ledger.journal(0, Date.parse("2100-01-01"))) lines.push(line);
    return lines;
  };
  const dispose = async () => {
    await ledger.close();
    rmSync(folder, { recursive: true });
  };
  return { ledger, journal, dispose };
});
