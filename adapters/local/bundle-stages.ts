import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Body, Sha256, Spool } from "../../mirror/body.ts";
import type { BundleFile } from "../../mirror/bundle/bundle-json.ts";
import type {
  BundleSource,
  BundleStage,
  BundleStages,
  CheckedFile,
  PackToCheck,
} from "../../mirror/bundle/bundle-ports.ts";
import { TAR_END } from "../../mirror/bundle/tar-format.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { openFile } from "./bundle-target.ts";
import { codeOf, fileError } from "./file-error.ts";
import { OWN_FILE } from "./pack-thread.ts";
import { PackThreads } from "./pack-threads.ts";

/**
 * Stages in a folder on the tree's file system: large zips as files that the tree then links, all else of a pack in one
 * file, at the places that it has in the pack. Nothing of it is fsynced: what an earlier start of the machine has left is
 * checked once more, and what a killed process has left is as it left it.
 */
export class FolderStages implements BundleStages {
  readonly #root: string;
  readonly #threads = new PackThreads();

  /** @param root is made when it is needed. */
  constructor(root: string) {
    this.#root = root;
  }

  async open(id: Sha256, source: BundleSource): Promise<BundleStage> {
    try {
      const folder = join(this.#root, id);
      mkdirSync(join(folder, "zips"), { recursive: true });
      return new FolderStage(folder, source, this.#threads);
    } catch (error) {
      throw fileError(error, this.#root);
    }
  }

  async sweep(keep: readonly Sha256[]): Promise<void> {
    for (const name of namesIn(this.#root))
      if (!keep.includes(name as Sha256)) rmSync(join(this.#root, name), { recursive: true, force: true });
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw fileError(error, folder);
  }
}

class FolderStage implements BundleStage {
  readonly #folder: string;
  readonly #source: BundleSource;
  readonly #threads: PackThreads;
  /** By pack. */
  readonly #parts = new Map<number, number>();
  readonly #boot = bootId();

  constructor(folder: string, source: BundleSource, threads: PackThreads) {
    this.#folder = folder;
    this.#source = source;
    this.#threads = threads;
  }

  async has(pack: PackToCheck): Promise<boolean> {
    try {
      return this.#boot !== "" && readFileSync(this.#donePath(pack.number), "utf8") === this.#boot;
    } catch (error) {
      if (codeOf(error) === "ENOENT") return false;
      throw fileError(error, this.#folder);
    }
  }

  async take(pack: PackToCheck, files: readonly CheckedFile[]): Promise<void> {
    const packPath = this.#source.path?.(pack.name);
    if (packPath === undefined)
      throw new MirrorError(
        "absent",
        pack.name,
        `${this.#source.name}: ${pack.name} is missing; give its volume too`,
      );
    const partPath = this.#partPath(pack.number);
    try {
      closeSync(openSync(partPath, "a", 0o644));
    } catch (error) {
      throw fileError(error, partPath);
    }
    await this.#threads.check({ packPath, partPath, zips: join(this.#folder, "zips"), pack, files });
  }

  async finish(pack: PackToCheck): Promise<void> {
    const stored = await this.#source.open(pack.name);
    if (stored === undefined) throw new MirrorError("absent", pack.name, `${pack.name}: has vanished`);
    try {
      const end = await stored.read(pack.size - TAR_END.byteLength, TAR_END.byteLength);
      if (Buffer.compare(end, TAR_END) !== 0 || stored.size !== pack.size)
        throw new MirrorError(
          "mismatch",
          pack.name,
          `${this.#source.name}: ${pack.name} does not end as it was written`,
        );
    } finally {
      await stored.close();
    }
    try {
      writeFileSync(this.#donePath(pack.number), this.#boot);
    } catch (error) {
      throw fileError(error, this.#folder);
    }
  }

  async body(file: BundleFile): Promise<Body> {
    const own = file.size > OWN_FILE ? this.#ownPath(file) : undefined;
    if (own !== undefined) return await stagedFile(own, file);
    return this.#read(file, 0, file.size);
  }

  async bytes(file: BundleFile): Promise<Uint8Array> {
    return this.#read(file, 0, file.size);
  }

  async read(file: BundleFile, offset: number, length: number): Promise<Uint8Array> {
    return this.#read(file, offset, Math.min(length, file.size - offset));
  }

  async close(): Promise<void> {
    for (const part of this.#parts.values()) closeSync(part);
    this.#parts.clear();
  }

  async clear(): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #partPath(pack: number): string {
    return join(this.#folder, `${pack}.part`);
  }

  #donePath(pack: number): string {
    return join(this.#folder, `${pack}.done`);
  }

  #ownPath(file: BundleFile): string | undefined {
    const path = join(this.#folder, "zips", file.sha256);
    return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : path;
  }

  #read(file: BundleFile, offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    try {
      let part = this.#parts.get(file.pack);
      if (part === undefined) {
        part = openSync(this.#partPath(file.pack), "r");
        this.#parts.set(file.pack, part);
      }
      for (let at = 0; at < length; ) {
        const read = readSync(part, bytes, at, length - at, file.offset + offset + at);
        if (read === 0) throw new Error("what was staged of it is gone; import again");
        at += read;
      }
      return bytes;
    } catch (error) {
      throw fileError(error, file.path);
    }
  }
}

/** It stays where it is: what the tree links of it is the same file. */
async function stagedFile(path: string, file: BundleFile): Promise<Spool> {
  const opened = await openFile(path);
  if (opened === undefined || opened.size !== file.size)
    throw new MirrorError(
      "transient",
      file.path,
      `${file.path}: what was staged of it is gone; import again`,
    );
  return {
    size: file.size,
    sha256: file.sha256,
    path,
    read: (offset, length) => opened.read(offset, length),
    stream: () => opened.stream(),
    dispose: () => opened.close(),
  };
}

/** This start of the kernel; empty where the system does not tell, and then nothing counts as kept. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
