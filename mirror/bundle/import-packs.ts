import { MirrorError } from "../errors.ts";
import type { BundleStage, CheckedFile, PackToCheck } from "./bundle-ports.ts";
import { checkedFile, type GivenFile } from "./import-walk.ts";
import type { KeptFiles } from "./kept-files.ts";
import type { OpenedBundle } from "./opened-bundle.ts";

/** So many bytes of files go to a thread at once. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_FILES = 256;
/** Batches under way: enough for each thread to have its next. */
const BATCHES = 6;

/**
 * Takes every file of a bundle out of its packs, checked; what an earlier run has finished is passed over.
 * @param kept is told how far it has come.
 */
export async function checkPacks(
  bundle: OpenedBundle,
  stage: BundleStage,
  given: AsyncGenerator<GivenFile>,
  progress: (bytes: number) => void,
  kept: KeptFiles,
): Promise<void> {
  const batches = new Batches(stage, progress, kept);
  let pack: PackToCheck | undefined;
  let isKept = false;
  // What the other side has besides, and this mirror not yet, is taken as bytes.
  const checks = checksOf(bundle, given);
  try {
    for await (const checked of checks) {
      if (pack?.number !== checked.file.pack) {
        if (pack !== undefined && !isKept) await batches.finish(pack);
        pack = packOf(bundle, checked.file.pack);
        isKept = await stage.has(pack);
        if (isKept) kept.advance(endOf(pack));
        else await requirePack(bundle, pack);
      }
      if (!isKept) await batches.add(pack, checked);
    }
    if (pack !== undefined && !isKept) await batches.finish(pack);
  } finally {
    await batches.settle();
  }
}

async function* checksOf(
  bundle: OpenedBundle,
  given: AsyncGenerator<GivenFile>,
): AsyncGenerator<CheckedFile> {
  const own = ofBundle(bundle, given);
  let next = await own.next();
  try {
    for await (const file of bundle.files()) {
      const isNext = next.done !== true && next.value.file.path === file.path;
      yield isNext
        ? checkedFile({ expected: (next.value as GivenFile).expected, file })
        : { file, check: { kind: "bytes" } };
      if (isNext) next = await own.next();
    }
  } finally {
    await own.return(undefined);
  }
}

async function* ofBundle(bundle: OpenedBundle, given: AsyncGenerator<GivenFile>): AsyncGenerator<GivenFile> {
  for await (const file of given) if (file.bundle === bundle) yield file;
}

function packOf({ packs, header }: OpenedBundle, number: number): PackToCheck {
  const { name = "", size = 0 } = packs[number] ?? {};
  return { number, name, size, time: Math.floor(header.to.until / 1000) };
}

async function requirePack({ source, packs }: OpenedBundle, { name, size }: PackToCheck): Promise<void> {
  const stored = await source.open(name);
  if (stored === undefined) {
    const which = packs.length === 1 ? "" : ` of ${packs.length}`;
    const message = `${source.name}: ${name}${which} is missing; give its volume too, what was checked so far is kept`;
    throw new MirrorError("absent", source.name, message);
  }
  await stored.close();
  if (stored.size !== size)
    throw new MirrorError(
      "mismatch",
      source.name,
      `${source.name}: ${name} has ${stored.size} bytes instead of ${size}`,
    );
}

const endOf = ({ number }: PackToCheck) => ({ pack: number + 1, offset: 0 });

/** Files side by side go to be checked together, some such batches at once. */
class Batches {
  readonly #kept: KeptFiles;
  /** Where the batches under way end, in their order, and which of these are done. */
  #ends: { readonly end: Parameters<KeptFiles["advance"]>[0]; isDone: boolean }[] = [];
  readonly #progress: (bytes: number) => void;
  readonly #stage: BundleStage;
  #files: CheckedFile[] = [];
  #bytes = 0;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly thrown: unknown } | undefined;

  constructor(stage: BundleStage, progress: (bytes: number) => void, kept: KeptFiles) {
    this.#progress = progress;
    this.#kept = kept;
    this.#stage = stage;
  }

  async add(pack: PackToCheck, checked: CheckedFile): Promise<void> {
    this.#files.push(checked);
    this.#bytes += checked.file.size;
    if (this.#bytes >= BATCH_BYTES || this.#files.length >= BATCH_FILES) await this.#send(pack);
  }

  async finish(pack: PackToCheck): Promise<void> {
    await this.#send(pack);
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure.thrown;
    await this.#stage.finish(pack);
    this.#kept.advance(endOf(pack));
  }

  /** Waits for what is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
  }

  async #send(pack: PackToCheck): Promise<void> {
    while (this.#running.size >= BATCHES) await Promise.race(this.#running);
    if (this.#failure !== undefined) throw this.#failure.thrown;
    if (this.#files.length === 0) return;
    const [files, bytes] = [this.#files, this.#bytes];
    [this.#files, this.#bytes] = [[], 0];
    const last = files.at(-1) as CheckedFile;
    const under = { end: { pack: pack.number, offset: last.file.offset + 1 }, isDone: false };
    this.#ends.push(under);
    const one: Promise<void> = this.#stage.take(pack, files).then(
      () => {
        this.#running.delete(one);
        under.isDone = true;
        this.#advance();
        this.#progress(bytes);
      },
      (thrown: unknown) => {
        this.#running.delete(one);
        this.#failure ??= { thrown };
      },
    );
    this.#running.add(one);
  }

  /** Over the batches at the front that are done. */
  #advance(): void {
    for (let [first] = this.#ends; first?.isDone; [first] = this.#ends) {
      this.#ends.shift();
      if (this.#stage.readsTaken) this.#kept.advance(first.end);
    }
  }
}
