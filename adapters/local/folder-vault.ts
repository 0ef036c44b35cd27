import { linkSync, readdirSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { comparePaths } from "../../gomod/module-path.ts";
import { type Body, isSpool, type Sha256, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { StoredObject, Vault } from "../../mirror/ports.ts";
import { DurableFolders, type TemporaryFolder } from "./durable-folder.ts";
import { codeOf, fileError, notPlain } from "./file-error.ts";
import { OpenFile, openPlainFile, readPlainFile } from "./plain-file.ts";
import { damaged, discard, receiveSpool } from "./received-file.ts";

/** What each part of a vault key is made of; `..`, empty parts and backslashes are not. */
const KEY_PART = /^(?!\.{1,2}$)[^/\\\0]+$/;

/**
 * A Vault in a folder. A put is: temporary file, fsync, rename, fsync of the folder; a create has a link, which never
 * replaces, in place of the rename.
 */
export class FolderVault implements Vault {
  readonly #root: string;
  readonly #temporary: TemporaryFolder;
  readonly #folders: DurableFolders;

  /**
   * @param root an existing folder.
   * @param temporary a folder on the same file system, outside of the vault.
   */
  constructor(root: string, temporary: TemporaryFolder) {
    this.#root = root;
    this.#temporary = temporary;
    this.#folders = new DurableFolders(root);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    try {
      const path = this.#pathOf(key);
      await this.#folders.make(dirname(path));
      const temporary = await this.#temporary.write(bytes);
      try {
        renameSync(temporary, path);
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
      this.#folders.wrote(dirname(path));
      await this.#folders.settle(dirname(path));
    } catch (error) {
      if (codeOf(error) === "ENOENT") this.#folders.forget();
      throw fileError(error, key);
    }
  }

  async get(key: string, limit: number): Promise<Uint8Array | undefined> {
    try {
      const path = this.#pathOf(key);
      if (!this.#folders.has(dirname(path))) return undefined;
      return await readPlainFile(path, ({ size }) => {
        if (size <= limit) return;
        throw new MirrorError("malformed", key, `${key}: larger than the ${limit} bytes allowed`);
      });
    } catch (error) {
      throw fileError(error, key);
    }
  }

  async create(key: string, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    try {
      const path = this.#pathOf(key);
      const folder = dirname(path);
      if (!isSpool(body) && sha256Of(body) !== sha256) throw damaged(key, sha256);
      await this.#folders.make(folder);
      const temporary = isSpool(body)
        ? await receiveSpool(this.#temporary, key, body, sha256)
        : await this.#temporary.write(body);
      let answer: "created" | "exists" = "created";
      try {
        linkSync(temporary, path);
        this.#folders.wrote(folder);
      } catch (error) {
        if (codeOf(error) !== "EEXIST") throw error;
        answer = "exists";
      } finally {
        await discard(temporary);
      }
      // Also for `exists`: its writer may have died between link and fsync.
      await this.#folders.settle(folder);
      return answer;
    } catch (error) {
      if (codeOf(error) === "ENOENT") this.#folders.forget();
      throw fileError(error, key);
    }
  }

  async open(key: string): Promise<StoredObject | undefined> {
    try {
      const path = this.#pathOf(key);
      if (!this.#folders.has(dirname(path))) return undefined;
      const opened = await openPlainFile(path);
      // What is put anew gets another inode; an opened one keeps its bytes.
      if (opened === undefined) return undefined;
      const { ino, mtimeMs, size } = opened.stat;
      const etag = `${ino.toString(36)}-${Math.round(mtimeMs * 1000).toString(36)}-${size.toString(36)}`;
      return new OpenFile(opened.handle, size, etag, key);
    } catch (error) {
      throw fileError(error, key);
    }
  }

  /** Unlink, then fsync of the folder: a crash before that may bring the object back. */
  async remove(key: string): Promise<void> {
    try {
      const path = this.#pathOf(key);
      if (!this.#folders.has(dirname(path))) return;
      try {
        unlinkSync(path);
        this.#folders.wrote(dirname(path));
      } catch (error) {
        if (codeOf(error) !== "ENOENT") throw error;
      }
      await this.#folders.settle(dirname(path));
    } catch (error) {
      throw fileError(error, key);
    }
  }

  async *keys(prefix: string): AsyncGenerator<string> {
    // Folders count as their name with the slash: so `a-b`, `a.json`, `a/…`, `a0` come in the order of their keys.
    const left = this.#entries(this.#checkedPrefix(prefix));
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      if (next.endsWith("/")) left.push(...this.#entries(next));
      else yield next;
    }
  }

  /** What lies in one folder, last first; folders end in a slash. */
  #entries(prefix: string): string[] {
    try {
      const folder = join(this.#root, prefix.slice(0, -1));
      if (!this.#folders.has(folder)) return [];
      return readdirSync(folder, { withFileTypes: true })
        .map((entry) => {
          if (!entry.isFile() && !entry.isDirectory()) throw notPlain(`${prefix}${entry.name}`);
          return `${prefix}${entry.name}${entry.isDirectory() ? "/" : ""}`;
        })
        .sort((a, b) => comparePaths(b, a));
    } catch (error) {
      throw fileError(error, prefix);
    }
  }

  #checkedPrefix(prefix: string): string {
    if (!prefix.endsWith("/"))
      throw new MirrorError("misuse", prefix, `vault prefix ${JSON.stringify(prefix)}: must end in a slash`);
    this.#pathOf(prefix.slice(0, -1));
    return prefix;
  }

  #pathOf(key: string): string {
    if (!key.split("/").every((part) => KEY_PART.test(part))) {
      throw new MirrorError(
        "misuse",
        key,
        `vault key ${JSON.stringify(key)}: has an empty part, a dot part or a backslash`,
      );
    }
    return join(this.#root, key);
  }
}
