import { randomBytes } from "node:crypto";
import {
  close,
  closeSync,
  constants,
  fsync,
  lstatSync,
  mkdir,
  mkdirSync,
  open,
  openSync,
  readdirSync,
  rmSync,
  type Stats,
  write,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { inParallel } from "../../mirror/in-parallel.ts";
import { codeOf, notPlain } from "./file-error.ts";

/** Up to this size one synchronous write into the page cache costs less than a trip through the thread pool. */
const SYNC_LIMIT = 256 * 1024;
/** As many folders are remembered as checked and durable; beyond it the memory starts anew. */
const REMEMBERED_FOLDERS = 100_000;
/** Of many folders so many are open, and with the thread pool, at a time. */
const SYNCED_AT_ONCE = 32;

const fsyncLater = promisify(fsync);
const openLater = promisify(open);
const makeLater = promisify(mkdir);
const closeLater = promisify(close);
const writeLater = promisify(write);

/** Files on their way: one folder beside the tree and the vault, on their file system, never served or listed. */
export class TemporaryFolder {
  readonly path: string;
  readonly #prefix = `${process.pid}-${randomBytes(6).toString("hex")}-`;
  #count = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** A name that nobody uses. */
  name(): string {
    return join(this.path, `${this.#prefix}${this.#count++}`);
  }

  /**
   * Writes `bytes` to a new file and waits until they are on the disk. What may have to wait for the file system's
   * journal (a new name, fsync) leaves this thread; all else is a few microseconds in the page cache, less than the
   * thread pool's own cost.
   * @returns its path; after an error there is no such file.
   */
  async write(bytes: Uint8Array): Promise<string> {
    const path = this.name();
    const file = await openLater(path, "wx", 0o644);
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        at +=
          bytes.byteLength <= SYNC_LIMIT
            ? writeSync(file, bytes, at)
            : (await writeLater(file, bytes, at, bytes.byteLength - at, null)).bytesWritten;
      }
      await fsyncLater(file);
    } catch (error) {
      closeSync(file);
      rmSync(path, { force: true });
      throw error;
    }
    closeSync(file);
    return path;
  }

  /** Removes what a killed process left. For the one writer, before it writes. */
  sweep(): void {
    for (const name of readdirSync(this.path))
      rmSync(join(this.path, name), { recursive: true, force: true });
  }
}

/** Waits until a file's bytes are on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await openLater(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    await fsyncLater(file);
  } finally {
    await closeLater(file);
  }
}

/** What is known of one folder. */
interface FolderState {
  /** Names written into it, and how many of these were there when its last fsync began. */
  written: number;
  durable: number;
  /** Its own name in its parent is on the disk. */
  named: boolean;
  running: Promise<void> | undefined;
  next: Promise<void> | undefined;
}

/**
 * Keeps the folders below `root` plain and their names durable. Every folder is checked or made once, and of the
 * fsyncs that writers ask of one folder at the same time one runs and one more waits, which then serves them all.
 */
export class DurableFolders {
  readonly #root: string;
  readonly #plain = new Set<string>();
  readonly #states = new Map<string, FolderState>();

  /** @param root an existing folder, whose own name is durable. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Whether `folder`, at or below the root, is there; no symbolic link leads out of the root on the way. */
  has(folder: string): boolean {
    if (folder === this.#root || this.#plain.has(folder)) return true;
    if (!this.has(dirname(folder))) return false;
    const found = statOf(folder);
    if (found === undefined || found.isFile()) return false;
    if (!found.isDirectory()) throw notPlain(folder);
    this.#remember(folder);
    return true;
  }

  /** Makes `folder` and its parents where they are missing; `settle` makes their names durable. */
  async make(folder: string): Promise<void> {
    if (folder === this.#root || this.#plain.has(folder)) return;
    await this.make(dirname(folder));
    try {
      await makeLater(folder);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      if (!lstatSync(folder).isDirectory()) throw notPlain(folder);
    }
    this.#remember(folder);
  }

  /** As `make`, at once: for many folders of a writer that nothing else waits for. */
  makeNow(folder: string): void {
    if (folder === this.#root || this.#plain.has(folder)) return;
    this.makeNow(dirname(folder));
    try {
      mkdirSync(folder);
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      if (!lstatSync(folder).isDirectory()) throw notPlain(folder);
    }
    this.#remember(folder);
  }

  /** Notes that a name was made or changed in `folder`. */
  wrote(folder: string): void {
    this.#state(folder).written++;
  }

  /** A folder has vanished under us: the next calls look and fsync again. */
  forget(): void {
    this.#plain.clear();
    for (const state of this.#states.values()) {
      state.named = false;
      state.written++;
    }
  }

  /**
   * Waits until every name written in `folder` so far is on the disk, and the folder's own name, and its parents'.
   * The first time in a process this holds for names of earlier processes too, which may have died before their fsync.
   */
  async settle(folder: string): Promise<void> {
    const waits: Promise<void>[] = [];
    const unnamed: FolderState[] = [];
    for (let at = folder; ; at = dirname(at)) {
      const state = this.#state(at);
      if (at === folder ? state.durable < state.written : true) waits.push(this.#sync(at, state));
      if (at === this.#root || state.named) break;
      unnamed.push(state);
    }
    await Promise.all(waits);
    for (const state of unnamed) state.named = true;
    if (this.#states.size > REMEMBERED_FOLDERS) this.#forgetSettled();
  }

  /** As `settle` for each of these; a folder on the way of several is synced once. */
  async settleAll(folders: Iterable<string>): Promise<void> {
    const due = new Map<string, FolderState>();
    const unnamed = new Set<FolderState>();
    for (const folder of folders)
      for (let at = folder; ; at = dirname(at)) {
        const state = this.#state(at);
        if (at !== folder || state.durable < state.written) due.set(at, state);
        if (at === this.#root || state.named || unnamed.has(state)) break;
        unnamed.add(state);
      }
    await inParallel(due, SYNCED_AT_ONCE, ([folder, state]) => this.#sync(folder, state));
    for (const state of unnamed) state.named = true;
    if (this.#states.size > REMEMBERED_FOLDERS) this.#forgetSettled();
  }

  #sync(folder: string, state: FolderState): Promise<void> {
    state.next ??= this.#syncAfter(folder, state, state.running);
    return state.next;
  }

  async #syncAfter(folder: string, state: FolderState, running: Promise<void> | undefined): Promise<void> {
    await running?.catch(() => {});
    state.running = state.next;
    state.next = undefined;
    const written = state.written;
    try {
      const file = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await fsyncLater(file);
      } finally {
        closeSync(file);
      }
      state.durable = written;
    } finally {
      state.running = undefined;
    }
  }

  #state(folder: string): FolderState {
    const known = this.#states.get(folder);
    if (known !== undefined) return known;
    // One name counts as written and not durable: what an earlier process may have left so.
    const state: FolderState = { written: 1, durable: 0, named: false, running: undefined, next: undefined };
    this.#states.set(folder, state);
    return state;
  }

  #remember(folder: string): void {
    if (this.#plain.size >= REMEMBERED_FOLDERS) this.#plain.clear();
    this.#plain.add(folder);
  }

  #forgetSettled(): void {
    for (const [folder, state] of this.#states) {
      if (state.durable === state.written && state.running === undefined && state.next === undefined) {
        this.#states.delete(folder);
      }
    }
  }
}

/** undefined also where the name is longer than any that can be there. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === "ENAMETOOLONG") return undefined;
    throw error;
  }
}
