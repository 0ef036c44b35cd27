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

export interface OpenOptions {
  readonly mode: LedgerMode;
  /** A folder with a tree and without a ledger is a mirror that has lost it: a new one is made. */
  readonly lostLedger?: boolean;
  /** To write, nothing is made where there is no mirror: for what changes one that is there. */
  readonly existing?: boolean;
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
  { mode, lostLedger = false, existing = false }: OpenOptions,
): Promise<FolderMirror> {
  const root = resolve(address);
  const [tree, vault, tmp] = [join(root, "tree"), join(root, "vault"), join(root, "tmp")];
  let ledger: SqliteLedger | undefined;
  try {
    const makes = mode === "write" && !existing;
    if (makes) makeFolder(root, address);
    refuseForeign(root, address, makes, lostLedger && isFolder(tree));
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

function isFolder(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** A folder with something in it, but no ledger, is someone else's, unless an operator says that the ledger is lost. */
function refuseForeign(root: string, address: string, makes: boolean, isOurs: boolean): void {
  const ledger = lstatSync(join(root, LEDGER), { throwIfNoEntry: false });
  if (ledger !== undefined) {
    if (!ledger.isFile()) throw notPlain(join(address, LEDGER));
    return;
  }
  if (isOurs) return;
  if (isFolder(join(root, "tree")) && isFolder(join(root, "vault")))
    throw misuse(
      address,
      `${address}: no mirror here as it stands: its ${LEDGER} is lost; \`modferry rebuild-ledger\` makes it anew from the tree`,
    );
  if (!makes) throw misuse(address, `${address}: no mirror here; \`modferry sync\` makes one`);
  const found = readdirSync(root).sort()[0];
  if (found === undefined) return;
  throw misuse(
    address,
    `${address}: no mirror, but not empty either (it holds ${JSON.stringify(found)}); name a new or empty folder`,
  );
}
