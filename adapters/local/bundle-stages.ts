import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
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
import type { StoredObject } from "../../mirror/ports.ts";
import { openFile } from "./bundle-target.ts";
import { codeOf, fileError } from "./file-error.ts";
import { stagedPath } from "./pack-thread.ts";
import { PackThreads } from "./pack-threads.ts";

/**
 * Stages in a folder on the tree's file system: every file of a pack by itself, in the pack's own folder, fsynced, so that
 * a tree has only to link it. What this process has not checked itself counts for less: what an earlier start of the
 * machine has left is checked once more, and what a killed process has left is hashed again when it is published.
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
      mkdirSync(folder, { recursive: true });
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
  readonly readsTaken = true;
  readonly #folder: string;
  readonly #source: BundleSource;
  readonly #threads: PackThreads;
  /** Packs whose folders this process has made. */
  readonly #begun = new Set<number>();
  /** Packs that this process has checked to their end. */
  readonly #finished = new Set<number>();
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
    const folder = this.#packPath(pack.number);
    if (!this.#begun.has(pack.number)) beginAnew(folder);
    this.#begun.add(pack.number);
    await this.#threads.check({ packPath, folder, pack, files });
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
      this.#finished.add(pack.number);
    } catch (error) {
      throw fileError(error, this.#folder);
    }
  }

  async body(file: BundleFile): Promise<Body> {
    return stagedFile(this.#pathOf(file), file, this.#finished.has(file.pack));
  }

  async bytes(file: BundleFile): Promise<Uint8Array> {
    return this.#read(file, 0, file.size);
  }

  async read(file: BundleFile, offset: number, length: number): Promise<Uint8Array> {
    return this.#read(file, offset, Math.min(length, file.size - offset));
  }

  async close(): Promise<void> {}

  async clear(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #packPath(pack: number): string {
    return join(this.#folder, `${pack}`);
  }

  /** Not `.done`, by which an earlier version's stages, laid out otherwise, counted as checked. */
  #donePath(pack: number): string {
    return join(this.#folder, `${pack}.checked`);
  }

  #pathOf(file: BundleFile): string {
    return stagedPath(this.#packPath(file.pack), file);
  }

  #read(file: BundleFile, offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let descriptor: number | undefined;
    try {
      descriptor = openSync(this.#pathOf(file), "r");
      for (let at = 0; at < length; ) {
        const read = readSync(descriptor, bytes, at, length - at, offset + at);
        if (read === 0) throw gone(file);
        at += read;
      }
      return bytes;
    } catch (error) {
      throw codeOf(error) === "ENOENT" ? gone(file) : fileError(error, file.path);
    } finally {
      if (descriptor !== undefined) closeSync(descriptor);
    }
  }
}

/** Never over files that are there: a tree may have linked them. */
function beginAnew(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
  } catch (error) {
    throw fileError(error, folder);
  }
}

/** It stays where it is: what the tree links of it is the same file. */
function stagedFile(path: string, file: BundleFile, isDurable: boolean): Spool {
  let opened: Promise<StoredObject> | undefined;
  const open = async (): Promise<StoredObject> => {
    const stored = await openFile(path);
    if (stored?.size === file.size) return stored;
    await stored?.close();
    throw gone(file);
  };
  const once = (): Promise<StoredObject> => {
    opened ??= open();
    return opened;
  };
  return {
    size: file.size,
    sha256: file.sha256,
    path,
    ...(isDurable ? { isDurable } : {}),
    read: async (offset, length) => await (await once()).read(offset, length),
    async *stream() {
      yield* (await once()).stream();
    },
    dispose: async () => await (await opened?.catch(() => undefined))?.close(),
  };
}

function gone({ path }: BundleFile): MirrorError {
  return new MirrorError("transient", path, `${path}: what was staged of it is gone; import again`);
}

/** This start of the kernel; empty where the system does not tell, and then nothing counts as kept. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
