import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { misuse } from "../../mirror/errors.ts";
import { TemporaryFolder } from "./durable-folder.ts";
import { codeOf, fileError, notPlain } from "./file-error.ts";
import { checkFileSystem, refuseNetwork } from "./file-system.ts";
import { FolderTree } from "./folder-tree.ts";
import { FolderVault } from "./folder-vault.ts";
import { SpoolFolder } from "./spool-folder.ts";
import { type LedgerMode, openSqliteLedger, type SqliteLedger } from "./sqlite-ledger.ts";

/** The parts of an embedded mirror. */
export interface FolderMirror {
  readonly tree: FolderTree;
  readonly vault: FolderVault;
  readonly ledger: SqliteLedger;
  /** Spools on the tree's file system, so that a large zip is linked, not copied. */
  readonly spools: SpoolFolder;
  /** Waits for the ledger's writes and gives the writer's lock back. */
  close(): Promise<void>;
}

const LEDGER = "ledger.sqlite";

/**
 * Opens the mirror in the folder `address`: `tree`, `vault`, `ledger.sqlite`, and `tmp` for files on their way.
 * To write, it is made where it is missing (the ledger first, which is how a later run knows the folder for a mirror),
 * the writer's lock is taken, and what a killed process left in `tmp` is removed. To read, nothing is changed. Beside a
 * writer, items of the ledger and objects of the vault may be written (LedgerMode).
 * @throws MirrorError misuse when it is a foreign folder, on a network file system, being written by another process,
 * from a newer modferry, or not permitted; transient when the disk is full.
 */
export async function openFolderMirror(
  address: string,
  { mode }: { readonly mode: LedgerMode },
): Promise<FolderMirror> {
  const root = resolve(address);
  const [tree, vault, tmp] = [join(root, "tree"), join(root, "vault"), join(root, "tmp")];
  let ledger: SqliteLedger | undefined;
  try {
    if (mode === "write") makeFolder(root, address);
    refuseForeign(root, address, mode);
    refuseNetwork(root);
    ledger = openSqliteLedger(join(root, LEDGER), mode, address);
    const temporary = new TemporaryFolder(tmp);
    if (mode === "write") {
      for (const part of [tree, vault, tmp]) makeFolder(part, address);
      syncFolder(root);
      temporary.sweep();
      checkFileSystem(address, tmp, [tree, vault]);
    }
    const opened = ledger;
    return {
      tree: new FolderTree(tree, temporary),
      vault: new FolderVault(vault, temporary),
      ledger: opened,
      spools: new SpoolFolder(tmp),
      close: () => opened.close(),
    };
  } catch (error) {
    await ledger?.close();
    throw fileError(error, address);
  }
}

/**
 * Makes a folder and its parents durably; what is there already must be a folder, or a link to one. Step by step: a
 * recursive mkdir never ends where the file system makes no folders and calls their parents missing (/proc; Node 24).
 */
function makeFolder(path: string, address: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) return;
  if (found !== undefined)
    throw misuse(
      address,
      `${address}: ${path === resolve(address) ? "" : `${path} is `}a file; name a folder`,
    );
  makeFolder(dirname(path), address);
  try {
    mkdirSync(path);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return;
    if (codeOf(error) === "ENOENT")
      throw misuse(address, `${address}: no folder can be made there; name another`, error);
    throw error;
  }
  syncFolder(dirname(path));
}

function syncFolder(path: string): void {
  const folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** A folder with something in it, but no ledger, is someone else's. */
function refuseForeign(root: string, address: string, mode: LedgerMode): void {
  const ledger = lstatSync(join(root, LEDGER), { throwIfNoEntry: false });
  if (ledger !== undefined) {
    if (!ledger.isFile()) throw notPlain(join(address, LEDGER));
    return;
  }
  if (mode !== "write") throw misuse(address, `${address}: no mirror here; \`modferry sync\` makes one`);
  const found = readdirSync(root).sort()[0];
  if (found === undefined) return;
  throw misuse(
    address,
    `${address}: no mirror, but not empty either (it holds ${JSON.stringify(found)}); name a new or empty folder`,
  );
}
