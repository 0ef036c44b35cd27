import { MirrorError } from "../errors.ts";
import { type BundleFile, type BundlePack, printFile } from "./bundle-json.ts";
import type { BundleTarget } from "./bundle-ports.ts";
import type { OpenedFile, SourceFile } from "./export-files.ts";
import type { ExportProgress, FinishedPack } from "./export-progress.ts";
import { PackWriter } from "./pack-writer.ts";
import { TAR_END, tarExtent } from "./tar-format.ts";

/** The files behind those of the packs that an earlier run has finished. */
export async function* passingOver(
  files: AsyncIterable<SourceFile>,
  finished: readonly FinishedPack[],
): AsyncGenerator<SourceFile> {
  const ends = new Map<number, string>();
  let over = 0;
  for (const { files: held, last } of finished) {
    over += held;
    ends.set(over, last);
  }
  let count = 0;
  for await (const file of files) {
    count++;
    if (count > over) yield file;
    else if (ends.has(count) && ends.get(count) !== file.path)
      throw new MirrorError(
        "misuse",
        "--to",
        "--to: holds packs of another export; remove them, or name another folder",
      );
  }
}

interface PackParts {
  readonly target: BundleTarget;
  /** Called with the bytes of each file that is in its pack. */
  readonly progress: (bytes: number) => void;
}

/** Fills one pack after the other. */
export class Packs {
  readonly packs: BundlePack[];
  readonly #parts: PackParts;
  readonly #progress: ExportProgress;
  readonly #options: {
    readonly limit: number;
    readonly at: (number: number) => string;
    readonly time: number;
  };
  #files = 0;
  #bytes = 0;
  #writer: PackWriter | undefined;
  #lines: BundleFile[] = [];

  constructor(
    parts: PackParts,
    progress: ExportProgress,
    finished: readonly FinishedPack[],
    options: { readonly limit: number; readonly at: (number: number) => string; readonly time: number },
  ) {
    this.#parts = parts;
    this.#progress = progress;
    this.#options = options;
    this.packs = finished.map(({ pack }) => pack);
    for (const { files, bytes } of finished) {
      this.#files += files;
      this.#bytes += bytes;
    }
  }

  get counts(): { readonly files: number; readonly bytes: number } {
    return { files: this.#files, bytes: this.#bytes };
  }

  async add(file: OpenedFile): Promise<void> {
    try {
      const full = tarExtent(file.path, file.size) + TAR_END.byteLength;
      if (this.#writer !== undefined && this.#writer.size + full > this.#options.limit)
        await this.#finishPack();
      this.#writer ??= await this.#create();
      this.#lines.push(await this.#writer.add(file.path, file.size, file));
    } catch (thrown) {
      await this.#writer?.discard();
      throw thrown;
    } finally {
      await file.close();
    }
    this.#files++;
    this.#bytes += file.size;
    this.#parts.progress(file.size);
  }

  async finish(): Promise<void> {
    if (this.#writer !== undefined) await this.#finishPack();
  }

  async #create(): Promise<PackWriter> {
    const number = this.packs.length;
    const time = Math.floor(this.#options.time / 1000);
    return await PackWriter.create(this.#parts.target, number, this.#options.at(number), time);
  }

  /** The pack, then its note: a crash in between has it made once more. */
  async #finishPack(): Promise<void> {
    const writer = this.#writer as PackWriter;
    this.#writer = undefined;
    const pack = await writer.finish();
    const bytes = this.#lines.reduce((sum, { size }) => sum + size, 0);
    const last = this.#lines.at(-1)?.path ?? "";
    const finished = { pack, files: this.#lines.length, bytes, last };
    await this.#progress.note(this.packs.length, finished, this.#lines.map(printFile));
    this.packs.push(pack);
    this.#lines = [];
  }
}
