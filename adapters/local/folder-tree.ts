import { lstatSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { link } from "node:fs/promises";
import { dirname, join } from "node:path";
import { comparePaths } from "../../gomod/module-path.ts";
import { type Body, isSpool, type Sha256, type Spool, sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { memoryObject } from "../../mirror/memory-object.ts";
import type { StoredObject, Tree, TreeObject } from "../../mirror/ports.ts";
import type { TreeKey } from "../../mirror/tree-keys.ts";
import { DurableFolders, type TemporaryFolder } from "./durable-folder.ts";
import { codeOf, fileError, notPlain } from "./file-error.ts";
import { inTurn } from "./in-turn.ts";
import { linkAll } from "./link-all.ts";
import { type FileStat, OpenFile, openPlainFile, readPlainFile } from "./plain-file.ts";
import { damaged, discard, receiveSpool } from "./received-file.ts";

/** Objects up to this size are read whole when opened, and their ETag is their SHA-256. */
const HASHED_LIMIT = 1 << 20;
/** What `replace` is for: `@v/list`, `@latest`, a database's `latest`. Their ETag is their SHA-256 at any size. */
const MUTABLE = /(?:^|\/)(?:@v\/list|@latest|latest)$/;

/**
 * A Tree in a folder, which any file server or `file://` serves as it is.
 * Create-only is: temporary file, fsync, link, unlink, fsync of the folder. A crash before the link leaves a file in
 * the temporary folder only; after it, the whole object, whose name the next run's fsync makes durable.
 */
export class FolderTree implements Tree {
  readonly #root: string;
  readonly #temporary: TemporaryFolder;
  readonly #folders: DurableFolders;

  /**
   * @param root an existing folder.
   * @param temporary a folder on the same file system, outside of the tree.
   */
  constructor(root: string, temporary: TemporaryFolder) {
    this.#root = root;
    this.#temporary = temporary;
    this.#folders = new DurableFolders(root);
  }

  async create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists"> {
    const [answer] = await this.#createTogether([{ key, body, sha256 }]);
    return answer as "created" | "exists";
  }

  /** What is durable already is linked, and each folder fsynced once for all of it. */
  async createAll(objects: readonly TreeObject[]): Promise<("created" | "exists")[]> {
    if (!objects.every(({ body }) => isSpool(body) && body.isDurable))
      return await this.#createTogether(objects);
    const linked = await linkAll(this.#root, this.#folders, objects);
    const answers: ("created" | "exists")[] = [];
    for (const [at, { key, body, sha256 }] of objects.entries())
      answers.push(linked[at] ?? (await this.create(key, body, sha256)));
    return answers;
  }

  /** A few: all contents are brought to the disk, then get their names in order, then each folder is fsynced once. */
  async #createTogether(objects: readonly TreeObject[]): Promise<("created" | "exists")[]> {
    const written = await Promise.allSettled(objects.map((object) => this.#written(object)));
    const answers: ("created" | "exists")[] = [];
    let at = 0;
    try {
      for (const { key, body } of objects) {
        const result = written[at] as PromiseSettledResult<string | undefined>;
        if (result.status === "rejected") throw result.reason;
        const path = join(this.#root, key);
        if (result.value !== undefined) answers.push(await this.#link(result.value, path));
        else answers.push(isSpool(body) && body.isDurable ? await this.#adopt(body, path, key) : "exists");
        at++;
      }
      at = 0;
      // Also for `exists`: its writer may have died, or may still be, between link and fsync.
      const folders = new Set(objects.map(({ key }) => dirname(join(this.#root, key))));
      await this.#folders.settleAll(folders);
      return answers;
    } catch (error) {
      throw fileError(error, objects[at]?.key ?? this.#root);
    } finally {
      for (const result of written)
        if (result.status === "fulfilled" && result.value !== undefined) await discard(result.value);
    }
  }

  /** @returns a temporary file with its bytes, on the disk; none for what has its own, or is there. */
  async #written({ key, body, sha256 }: TreeObject): Promise<string | undefined> {
    const path = join(this.#root, key);
    if (!isSpool(body) && sha256Of(body) !== sha256) throw damaged(key, sha256);
    await this.#folders.make(dirname(path));
    if (isSpool(body) && body.isDurable && body.sha256 === sha256) return undefined;
    if (isThere(path)) return undefined;
    return isSpool(body)
      ? await receiveSpool(this.#temporary, key, body, sha256)
      : await this.#temporary.write(body);
  }

  async replace(key: TreeKey, body: Body, previous: string | undefined): Promise<"replaced" | "changed"> {
    const path = join(this.#root, key);
    return inTurn(path, async () => {
      try {
        await this.#folders.make(dirname(path));
        const found = await this.open(key);
        await found?.close();
        if (found?.etag !== previous) return "changed";
        const temporary = isSpool(body)
          ? await receiveSpool(this.#temporary, key, body, body.sha256)
          : await this.#temporary.write(body);
        try {
          if (previous === undefined) {
            if ((await this.#link(temporary, path)) === "exists") return "changed";
          } else {
            renameSync(temporary, path);
            this.#folders.wrote(dirname(path));
          }
        } finally {
          await discard(temporary);
        }
        await this.#folders.settle(dirname(path));
        return "replaced";
      } catch (error) {
        throw fileError(error, key);
      }
    });
  }

  /** Unlink, then fsync of the folder: a crash before that may bring the object back. */
  async remove(key: TreeKey, previous: string): Promise<"removed" | "changed"> {
    const path = join(this.#root, key);
    return inTurn(path, async () => {
      try {
        const found = await this.open(key);
        await found?.close();
        if (found !== undefined) {
          if (found.etag !== previous) return "changed";
          unlinkSync(path);
          this.#folders.wrote(dirname(path));
        }
        if (this.#folders.has(dirname(path))) await this.#folders.settle(dirname(path));
        return "removed";
      } catch (error) {
        if (codeOf(error) === "ENOENT") return "removed";
        throw fileError(error, key);
      }
    });
  }

  async get(key: TreeKey, limit: number): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    try {
      return await this.#read(key, limit);
    } catch (error) {
      throw fileError(error, key);
    }
  }

  async content(key: TreeKey): Promise<Uint8Array | undefined> {
    const path = join(this.#root, key);
    try {
      return this.#folders.has(dirname(path)) ? await readPlainFile(path, () => undefined) : undefined;
    } catch (error) {
      throw fileError(error, key);
    }
  }

  async open(key: TreeKey): Promise<StoredObject | undefined> {
    try {
      const path = join(this.#root, key);
      if (!this.#folders.has(dirname(path))) return undefined;
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined || stat.isDirectory()) return undefined;
      if (stat.size <= HASHED_LIMIT || MUTABLE.test(key)) {
        const found = await this.#read(key, Number.POSITIVE_INFINITY);
        return found && memoryObject(found.bytes, found.etag);
      }
      const opened = await openPlainFile(path);
      return opened && new OpenFile(opened.handle, opened.stat.size, etagOfFile(opened.stat), key);
    } catch (error) {
      if (codeOf(error) === "ENAMETOOLONG") return undefined;
      throw fileError(error, key);
    }
  }

  async *keys(after = ""): AsyncGenerator<{ key: string; size: number }> {
    // A folder stands where its name with the slash does: so `a-b/…`, `a.zip`, `a/…`, `a0` come in the order of their keys.
    const left = this.#entries("", after);
    for (let entry = left.pop(); entry !== undefined; entry = left.pop()) {
      const { key, size } = entry;
      if (size === undefined) for (const inside of this.#entries(key, after)) left.push(inside);
      else yield { key, size };
    }
  }

  /** A folder has no URLs of its own. */
  async link(): Promise<undefined> {
    return undefined;
  }

  /**
   * What lies in one folder and may be or hold something behind `after`, last first; folders end in a slash and have no
   * size. Names that vanish meanwhile are left out.
   */
  #entries(folder: string, after: string): { key: string; size: number | undefined }[] {
    try {
      const found = readdirSync(join(this.#root, folder)).flatMap(
        (name): { key: string; size: number | undefined }[] => {
          const key = `${folder}${name}`;
          // Neither the file nor what a folder of this name holds.
          if (
            comparePaths(key, after) <= 0 &&
            !after.startsWith(`${key}/`) &&
            comparePaths(`${key}/`, after) <= 0
          )
            return [];
          const stat = lstatSync(join(this.#root, key), { throwIfNoEntry: false });
          if (stat === undefined) return [];
          if (!stat.isFile() && !stat.isDirectory()) throw notPlain(key);
          if (stat.isDirectory()) return [{ key: `${key}/`, size: undefined }];
          return comparePaths(key, after) <= 0 ? [] : [{ key, size: stat.size }];
        },
      );
      return found.sort((a, b) => comparePaths(b.key, a.key));
    } catch (error) {
      throw fileError(error, folder === "" ? this.#root : folder);
    }
  }

  async #read(key: TreeKey, limit: number): Promise<{ bytes: Uint8Array; etag: string } | undefined> {
    const path = join(this.#root, key);
    if (!this.#folders.has(dirname(path))) return undefined;
    let stat: FileStat | undefined;
    const bytes = await readPlainFile(path, (found) => {
      stat = found;
      if (found.size <= limit) return;
      throw new MirrorError("malformed", key, `${key}: larger than the ${limit} bytes allowed`);
    });
    if (bytes === undefined || stat === undefined) return undefined;
    const hashed = bytes.byteLength <= HASHED_LIMIT || MUTABLE.test(key);
    return { bytes, etag: hashed ? sha256Of(bytes) : etagOfFile(stat) };
  }

  /** Gives a file that is durable already the object's name, too; on another file system a copy of it. */
  async #adopt(spool: Spool, path: string, key: TreeKey): Promise<"created" | "exists"> {
    try {
      const answer = await this.#link(spool.path, path);
      // Refuses what is there and is no file.
      if (answer === "exists") isThere(path);
      return answer;
    } catch (error) {
      if (codeOf(error) !== "EXDEV") throw error;
    }
    const temporary = await receiveSpool(this.#temporary, key, spool, spool.sha256);
    try {
      return await this.#link(temporary, path);
    } finally {
      await discard(temporary);
    }
  }

  /** Gives a finished temporary file the object's name. */
  async #link(temporary: string, path: string): Promise<"created" | "exists"> {
    try {
      await link(temporary, path);
    } catch (error) {
      if (codeOf(error) === "EEXIST") return "exists";
      if (codeOf(error) !== "ENOENT") throw error;
      // Someone removed the folder behind our back: it is made once more.
      this.#folders.forget();
      await this.#folders.make(dirname(path));
      await link(temporary, path);
    }
    this.#folders.wrote(dirname(path));
    return "created";
  }
}

function isThere(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isFile()) throw notPlain(path);
  return stat !== undefined;
}

/**
 * Of large objects, which are only ever created: another content has another inode or another time of writing, since
 * an object this large takes longer to write than a file system's clock takes to tick.
 */
function etagOfFile({ ino, mtimeMs, size }: FileStat): string {
  return `${ino.toString(36)}-${Math.round(mtimeMs * 1000).toString(36)}-${size.toString(36)}`;
}
