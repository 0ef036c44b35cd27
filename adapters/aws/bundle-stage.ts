import { bytesSource } from "../../gomod/zip-source.ts";
import { type Body, isSpool, type Sha256, SPOOL_LIMIT, type Spool, sha256Of } from "../../mirror/body.ts";
import type { BundleFile } from "../../mirror/bundle/bundle-json.ts";
import type { BundleStage, CheckedFile, PackToCheck } from "../../mirror/bundle/bundle-ports.ts";
import { checkPackFile, damaged } from "../../mirror/bundle/check-file.ts";
import type { ImportProgress } from "../../mirror/bundle/import-progress.ts";
import type { SpoolChunks } from "../../mirror/bundle/import-snapshot.ts";
import { packName } from "../../mirror/bundle/pack-writer.ts";
import { TAR_END, tarHeaderLength, tarPadding } from "../../mirror/bundle/tar-format.ts";
import type { Deadline } from "../../mirror/deadline.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { requireTime } from "../../mirror/time-is-up.ts";
import type { SmallFiles } from "../local/small-files.ts";
import type { PinnedObject } from "./bundle-object.ts";
import type { S3BundleSource } from "./bundle-source.ts";
import { PackWindows } from "./bundle-windows.ts";

/** What proofs are made of: read again, one by one, when all of a bundle is checked. */
const isOfProofs = ({ path, size }: BundleFile): boolean => path.startsWith("sumdb/") && size <= 64 * 1024;

export interface StageParts {
  /** Receives what is too large for memory. */
  readonly spool: SpoolChunks;
  /** Tiles and lookups that were seen on the way, by where they begin. */
  readonly kept: SmallFiles;
  readonly deadline: Deadline;
}

/** A file with its tar header and padding, in bytes of its pack. */
interface Frame {
  readonly start: number;
  readonly end: number;
}

function frameOf({ path, size, offset }: BundleFile): Frame {
  return { start: offset - tarHeaderLength(path), end: offset + size + tarPadding(size).byteLength };
}

/**
 * A stage that holds nothing: what was checked is read again where it lies, as the very objects that were checked, and what
 * is published goes with the SHA-256 of the signed list. How far both have come is kept by ImportProgress.
 */
export class S3Stage implements BundleStage {
  readonly #source: S3BundleSource;
  readonly #progress: ImportProgress;
  readonly #parts: StageParts;
  readonly #windows = new PackWindows((name) => this.#pack(name));
  /** Where each pack begins if all are laid end to end. */
  readonly #bases: number[] = [0];

  constructor(source: S3BundleSource, progress: ImportProgress, parts: StageParts) {
    this.#source = source;
    this.#progress = progress;
    this.#parts = parts;
  }

  async has(pack: PackToCheck): Promise<boolean> {
    // What is not proven yet is proven by what lies in the packs: it is gathered once more by a process without it.
    return this.#progress.isProven && this.#baseOf(pack.number) + pack.size <= this.#progress.checkedBefore;
  }

  async take(pack: PackToCheck, files: readonly CheckedFile[]): Promise<void> {
    requireTime(this.#parts.deadline, pack.name);
    const base = this.#baseOf(pack.number);
    const frames = files.map(({ file }) => frameOf(file));
    const [start, end] = [base + (frames[0]?.start ?? 0), base + (frames.at(-1)?.end ?? 0)];
    if (end <= this.#progress.checkedBefore) return await this.#gather(pack, files);
    await this.#check(pack, files);
    this.#progress.checked.add(start, end);
    await this.#progress.saveInTime();
  }

  async finish(pack: PackToCheck): Promise<void> {
    const base = this.#baseOf(pack.number);
    const stored = await this.#pack(pack.name);
    const at = pack.size - TAR_END.byteLength;
    const end = await stored.read(at, TAR_END.byteLength);
    if (Buffer.compare(end, TAR_END) !== 0)
      throw new MirrorError(
        "mismatch",
        pack.name,
        `${this.#source.name}: ${pack.name} does not end as it was written`,
      );
    this.#progress.checked.add(base + at, base + pack.size);
    await this.#progress.save();
  }

  async body(file: BundleFile): Promise<Body> {
    requireTime(this.#parts.deadline, file.path);
    if (file.size > SPOOL_LIMIT) return await this.#remote(file);
    const bytes = await this.bytes(file);
    if (sha256Of(bytes) === file.sha256) return bytes;
    const message = `${file.path}: was exchanged after it was checked; it was not published`;
    throw new MirrorError("mismatch", file.path, message);
  }

  async bytes(file: BundleFile): Promise<Uint8Array> {
    const kept = this.#parts.kept.read(this.#idOf(file));
    if (kept !== undefined) return kept;
    requireTime(this.#parts.deadline, file.path);
    return await this.read(file, 0, file.size);
  }

  async read(file: BundleFile, offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, file.size - offset));
    return await this.#windows.read(packName(file.pack), file.offset + offset, wanted);
  }

  isPublished(file: BundleFile): boolean {
    const base = this.#baseOf(file.pack);
    const { start, end } = frameOf(file);
    // Before it are only the snapshot's own objects, which are no files of the tree.
    this.#progress.published.begin(base + start);
    return base + end <= this.#progress.publishedBefore;
  }

  published(file: BundleFile): void {
    const base = this.#baseOf(file.pack);
    const { start, end } = frameOf(file);
    const ends = end + TAR_END.byteLength === this.#source.sizeOf(packName(file.pack));
    this.#progress.published.add(base + start, ends ? this.#baseOf(file.pack + 1) : base + end);
    // A crash has it published once more; `close`, and whoever comes next, tells of what fails.
    this.#progress.saveInTime().catch(() => undefined);
  }

  isProven(): boolean {
    return this.#progress.isProven;
  }

  async proven(): Promise<void> {
    await this.#progress.noteProven();
  }

  async close(): Promise<void> {
    await this.#progress.save();
  }

  async clear(): Promise<void> {
    this.#parts.kept.clear();
    await this.#progress.clear();
  }

  async #check(pack: PackToCheck, files: readonly CheckedFile[]): Promise<void> {
    const stored = await this.#pack(pack.name);
    let run: CheckedFile[] = [];
    const checkRun = async () => {
      const [first, last] = [run[0], run.at(-1)];
      if (first === undefined || last === undefined) return;
      const { start } = frameOf(first.file);
      const bytes = await stored.read(start, frameOf(last.file).end - start);
      for (const checked of run) await this.#checkWhole(pack, checked, bytes, start);
      run = [];
    };
    for (const checked of files) {
      if (checked.file.size <= SPOOL_LIMIT) run.push(checked);
      else {
        await checkRun();
        await this.#checkLarge(pack, stored, checked);
      }
    }
    await checkRun();
  }

  async #checkWhole(
    pack: PackToCheck,
    checked: CheckedFile,
    bytes: Uint8Array,
    origin: number,
  ): Promise<void> {
    const { file } = checked;
    const { start, end } = frameOf(file);
    const at = file.offset - origin;
    const content = bytes.subarray(at, at + file.size);
    const around = {
      before: bytes.subarray(start - origin, at),
      behind: bytes.subarray(at + file.size, end - origin),
    };
    await checkPackFile(checked, pack.time, around, sha256Of(content), bytesSource(content));
    if (isOfProofs(file)) this.#parts.kept.keep(this.#idOf(file), content);
  }

  /** By way of a temporary file: a zip is read from its end. */
  async #checkLarge(pack: PackToCheck, stored: PinnedObject, checked: CheckedFile): Promise<void> {
    const { path, size, offset } = checked.file;
    const { start, end } = frameOf(checked.file);
    const around = {
      before: await stored.read(start, offset - start),
      behind: await stored.read(offset + size, end - offset - size),
    };
    const range = stored.stream({ start: offset, end: offset + size - 1 });
    const body = await this.#parts.spool(range, size, path);
    try {
      const sha256: Sha256 = isSpool(body) ? body.sha256 : sha256Of(body);
      await checkPackFile(checked, pack.time, around, sha256, isSpool(body) ? body : bytesSource(body));
    } finally {
      if (isSpool(body)) await body.dispose();
    }
  }

  /** What an earlier process has checked and kept to itself, as far as proofs need it. */
  async #gather(pack: PackToCheck, files: readonly CheckedFile[]): Promise<void> {
    for (const { file } of files) {
      const id = this.#idOf(file);
      if (!isOfProofs(file) || this.#parts.kept.has(id)) continue;
      this.#parts.kept.keep(id, await this.#windows.read(pack.name, file.offset, file.size));
    }
  }

  /** Read where it lies while it is stored: the tree's bucket compares its SHA-256. */
  async #remote({ pack, path, size, sha256, offset }: BundleFile): Promise<Spool> {
    const stored = await this.#pack(packName(pack));
    return {
      size,
      sha256,
      path,
      read: (at, length) => stored.read(offset + at, Math.max(0, Math.min(length, size - at))),
      stream: () => stored.stream({ start: offset, end: offset + size - 1 }),
      dispose: async () => {},
    };
  }

  async #pack(name: string): Promise<PinnedObject> {
    const stored = await this.#source.open(name);
    if (stored !== undefined) return stored;
    throw new MirrorError("transient", name, `${this.#source.name}: ${name} has vanished`);
  }

  #idOf({ pack, offset }: BundleFile): number {
    return this.#baseOf(pack) + offset;
  }

  #baseOf(pack: number): number {
    for (let at = this.#bases.length; at <= pack; at++) {
      const size = this.#source.sizeOf(packName(at - 1));
      if (size === undefined) throw damaged(packName(at - 1), "is missing");
      this.#bases.push((this.#bases[at - 1] as number) + size);
    }
    return this.#bases[pack] as number;
  }
}
