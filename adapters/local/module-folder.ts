import { constants, type Dirent } from "node:fs";
import { lstat, open, readdir, realpath } from "node:fs/promises";
import { decodeUtf8 } from "../../gomod/go-unicode.ts";
import { MAX_GO_MOD_BYTES } from "../../gomod/zip-check.ts";
import {
  type FileProblem,
  isVendored,
  languageVersion,
  type ModuleFile,
  NOT_REGULAR,
  VENDORED,
} from "../../gomod/zip-rules.ts";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import { codeOf, fileError } from "./file-error.ts";

/** The files of a folder that `createModuleZip` decides about, and what the listing left out. */
export interface ListedFolder {
  readonly files: readonly ModuleFile[];
  /** Version control, nested modules, vendored packages and all but plain files; of a folder not what lies in it. */
  readonly omitted: readonly FileProblem[];
}

/** Ours: as many files are listed (about 0.5 KB each), many times what one module may have. */
const MAX_LISTED = 1_000_000;
/** How much of a file is read at once. */
const PIECE_BYTES = 256 * 1024;
/** Nobody opens a file that has become a symbolic link or a pipe since it was listed. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
const SLASH = Buffer.from("/");
const GO_MOD = Buffer.from("go.mod");
/** Directories of version control systems (x/mod/zip, listFilesInDir). */
const VERSION_CONTROL = new Set([".bzr", ".git", ".hg", ".svn"]);

/**
 * Lists a module's folder as x/mod/zip's CreateFromDir does, each directory's names in the order of their bytes.
 * A symbolic link that `folder` itself is gets followed, where Go makes a zip without files.
 * @throws MirrorError misuse where there is no such folder, or a file in it cannot be read.
 */
export async function listModuleFolder(folder: string): Promise<ListedFolder> {
  try {
    const root = Buffer.from(await realpath(folder));
    if (!(await lstat(root)).isDirectory()) throw misuse(folder, `${folder}: not a folder; name a module's`);
    const walk = new FolderWalk(folder, await rootLanguage(root));
    await walk.directory(root, "");
    return walk;
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT")
      throw misuse(folder, `${folder}: no such folder, or it changed while it was read`, thrown);
    throw fileError(thrown, folder);
  }
}

class FolderWalk implements ListedFolder {
  readonly files: ModuleFile[] = [];
  readonly omitted: FileProblem[] = [];
  readonly #folder: string;
  readonly #language: string;

  constructor(folder: string, language: string) {
    this.#folder = folder;
    this.#language = language;
  }

  /** @param prefix `path` below the root, empty or with a slash at its end. */
  async directory(path: Buffer, prefix: string): Promise<void> {
    const found = await readdir(path, { withFileTypes: true, encoding: "buffer" });
    for (const item of found.sort((a, b) => Buffer.compare(a.name, b.name))) {
      await this.#item(item, Buffer.concat([path, SLASH, item.name]), `${prefix}${decodeUtf8(item.name)}`);
    }
  }

  async #item(item: Dirent<Buffer>, place: Buffer, path: string): Promise<void> {
    const omission = await this.#omission(item, place, path);
    if (omission !== undefined) this.omitted.push({ path, problem: omission });
    else if (item.isDirectory()) await this.directory(place, `${path}/`);
    else this.files.push(plainFile(path, place, (await lstat(place)).size));
    if (this.files.length + this.omitted.length > MAX_LISTED) {
      throw misuse(this.#folder, `${this.#folder}: more than ${MAX_LISTED} files; name a module's folder`);
    }
  }

  async #omission(item: Dirent<Buffer>, place: Buffer, path: string): Promise<string | undefined> {
    if (isVendored(path, this.#language)) return VENDORED;
    if (!item.isDirectory()) return item.isFile() ? undefined : NOT_REGULAR;
    if (VERSION_CONTROL.has(item.name.toString("latin1"))) return "directory is a version control repository";
    const goMod = await lstat(Buffer.concat([place, SLASH, GO_MOD])).catch(() => undefined);
    return goMod !== undefined && !goMod.isDirectory() ? "directory is in another module" : undefined;
  }
}

function plainFile(path: string, place: Buffer, size: number): ModuleFile {
  return { path, kind: "file", size, read: () => readPieces(path, place) };
}

async function* readPieces(path: string, place: Buffer): AsyncGenerator<Uint8Array> {
  try {
    const file = await open(place, OPEN_FLAGS);
    try {
      const { size } = await file.stat();
      const room = Buffer.allocUnsafe(Math.min(PIECE_BYTES, size + 1));
      for (;;) {
        const { bytesRead } = await file.read(room, 0, room.length);
        if (bytesRead === 0) return;
        yield room.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (thrown instanceof MirrorError || codeOf(thrown) === undefined) throw thrown;
    throw fileError(thrown, path);
  }
}

/** The language version by the root's go.mod, which may be a symbolic link (listFilesInDir reads through it). */
async function rootLanguage(root: Buffer): Promise<string> {
  try {
    const file = await open(
      Buffer.concat([root, SLASH, GO_MOD]),
      constants.O_RDONLY | (constants.O_NONBLOCK ?? 0),
    );
    try {
      const found = await file.stat();
      return !found.isFile() || found.size > MAX_GO_MOD_BYTES ? "" : languageVersion(await file.readFile());
    } finally {
      await file.close();
    }
  } catch {
    return "";
  }
}
