import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { BundleFileWriter, BundleTarget, HashedFileWriter } from "../../mirror/bundle/bundle-ports.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import { codeOf, fileError } from "./file-error.ts";
import { OpenFile, openPlainFile } from "./plain-file.ts";
import { FileWrittenApart } from "./written-apart.ts";

/** A BundleTarget in a folder, which may be on a stick: neither links nor rights are asked of its file system. */
export class BundleFolder implements BundleTarget {
  readonly #root: string;

  /** @param root is made where it is missing. */
  constructor(root: string) {
    this.#root = root;
  }

  async create(name: string): Promise<BundleFileWriter> {
    const path = join(this.#root, name);
    try {
      mkdirSync(dirname(path), { recursive: true });
      return await FolderFileWriter.create(path);
    } catch (error) {
      throw fileError(error, path);
    }
  }

  async createHashed(name: string): Promise<HashedFileWriter> {
    const path = join(this.#root, name);
    try {
      return new FileWrittenApart(path, syncFolder);
    } catch (error) {
      throw fileError(error, path);
    }
  }

  async open(name: string): Promise<StoredObject | undefined> {
    return await openFile(join(this.#root, name));
  }

  async remove(name: string): Promise<void> {
    const path = join(this.#root, name);
    try {
      if (name.endsWith("/")) rmdirSync(path);
      else rmSync(path, { force: true });
    } catch (error) {
      if (codeOf(error) !== "ENOENT" && codeOf(error) !== "ENOTEMPTY") throw fileError(error, path);
    }
  }
}

/** A plain file to be read in parts; undefined where there is none. */
export async function openFile(path: string): Promise<StoredObject | undefined> {
  try {
    const opened = await openPlainFile(path);
    return opened && new OpenFile(opened.handle, opened.stat.size, "", path);
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Smaller writes are gathered: a list comes line by line. */
const GATHERED = 256 * 1024;

/** Temporary file, fsync, rename, fsync of the folder where the file system has such. */
class FolderFileWriter implements BundleFileWriter {
  readonly #gathered = Buffer.allocUnsafe(GATHERED);
  #filled = 0;
  readonly #path: string;
  readonly #temporary: string;
  #handle: FileHandle | undefined;

  private constructor(path: string, temporary: string, handle: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  static async create(path: string): Promise<FolderFileWriter> {
    const temporary = join(dirname(path), `.${basename(path)}.part`);
    return new FolderFileWriter(path, temporary, await open(temporary, "w", 0o644));
  }

  async write(bytes: Uint8Array): Promise<void> {
    try {
      if (this.#filled + bytes.byteLength > GATHERED) await this.#flush();
      if (bytes.byteLength > GATHERED) return await this.#writeAll(bytes);
      this.#gathered.set(bytes, this.#filled);
      this.#filled += bytes.byteLength;
    } catch (error) {
      throw fileError(error, this.#path);
    }
  }

  async finish(): Promise<void> {
    try {
      if (this.#handle !== undefined) await this.#flush();
      await this.#handle?.sync();
      await this.#handle?.close();
      this.#handle = undefined;
      await rename(this.#temporary, this.#path);
      await syncFolder(dirname(this.#path));
    } catch (error) {
      throw fileError(error, this.#path);
    }
  }

  async discard(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle === undefined) return;
    await handle.close();
    await rm(this.#temporary, { force: true });
  }

  async #flush(): Promise<void> {
    const filled = this.#filled;
    this.#filled = 0;
    await this.#writeAll(this.#gathered.subarray(0, filled));
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; )
      at += (await (this.#handle as FileHandle).write(bytes, at)).bytesWritten;
  }
}

/** FAT has no fsync of folders: then the rename lasts as long as the medium is unmounted properly. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } catch (error) {
    if (codeOf(error) !== "EINVAL") throw error;
  } finally {
    await folder.close();
  }
}
