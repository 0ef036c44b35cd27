import { MirrorError } from "../errors.ts";
import type { BundleFile } from "./bundle-json.ts";
import type { BundleSnapshot, CheckedFile, FileCheck } from "./bundle-ports.ts";
import { comparePlaces, type FilePlace, placeOf } from "./file-order.ts";
import type { OpenedBundle } from "./opened-bundle.ts";
import { filesBetween, type SnapshotFile } from "./snapshot-files.ts";

/** Some 1 KB each. More are read from the lists and snapshots again, each time that they are gone through. */
const MOST_REMEMBERED = 50_000;

/** A file that a mirror is to get, and where it is to be had. */
export interface GivenFile {
  readonly expected: SnapshotFile;
  readonly bundle: OpenedBundle;
  readonly file: BundleFile;
}

/** What a walk finds wrong with the lists of bundles; the walk goes on. */
export interface WalkFaults {
  /** A file that the target has, that this mirror lacks, and that no bundle lists. */
  missing(file: SnapshotFile): void;
  /** A file that a bundle lists and that is not between its snapshots. */
  extra(bundle: OpenedBundle, path: string): void;
}

/**
 * What a mirror of the snapshot `from` is to get to be one of `to`, each with where one of the bundles has it, in the
 * order of publishing. Streamed: every list is in this order.
 * @throws MirrorError mismatch where a bundle lists a file otherwise than the snapshot has it.
 */
export async function* walk(
  from: BundleSnapshot | undefined,
  to: BundleSnapshot,
  bundles: readonly OpenedBundle[],
  faults: WalkFaults,
): AsyncGenerator<GivenFile> {
  const lists = bundles.map((bundle) => new List(bundle));
  try {
    for await (const expected of filesBetween(from, to)) {
      let given: GivenFile | undefined;
      for (const list of lists) {
        const file = await list.take(expected.key, (path) => faults.extra(list.bundle, path));
        if (file !== undefined && given === undefined) given = { expected, bundle: list.bundle, file };
      }
      if (given === undefined) {
        faults.missing(expected);
        continue;
      }
      const { file, bundle } = given;
      const isSame = expected.sha256 === undefined || expected.sha256 === file.sha256;
      if (!isSame || (expected.size !== undefined && expected.size !== file.size))
        throw new MirrorError(
          "mismatch",
          file.path,
          `${bundle.source.name}: ${file.path} is listed otherwise than its snapshot has it`,
        );
      yield given;
    }
    for (const list of lists) await list.rest((path) => faults.extra(list.bundle, path));
  } finally {
    for (const list of lists) await list.close();
  }
}

/** The files of a walk, for those who go through them again, as long as they are few enough. */
export class RememberedFiles {
  #files: GivenFile[] | undefined = [];

  add(file: GivenFile): void {
    if (this.#files !== undefined && this.#files.push(file) > MOST_REMEMBERED) this.#files = undefined;
  }

  get isWhole(): boolean {
    return this.#files !== undefined;
  }

  async *again(): AsyncGenerator<GivenFile> {
    yield* this.#files ?? [];
  }
}

/** How a file is to be checked while it is taken from its pack. */
export function checkedFile({ expected, file }: Pick<GivenFile, "expected" | "file">): CheckedFile {
  return { file, check: checkOf(expected) };
}

function checkOf(expected: SnapshotFile): FileCheck {
  if (expected.kind === "mod") return { kind: "mod", version: expected.entry, h1: expected.entry.modH1 };
  if (expected.kind === "zip" && expected.entry.zipH1 !== undefined)
    return { kind: "zip", version: expected.entry, h1: expected.entry.zipH1 };
  return { kind: "bytes" };
}

/** A bundle's list of tree files, read alongside what is expected. */
class List {
  readonly bundle: OpenedBundle;
  readonly #files: AsyncGenerator<BundleFile>;
  #next: BundleFile | undefined;
  #place: FilePlace | undefined;
  #begun = false;

  constructor(bundle: OpenedBundle) {
    this.bundle = bundle;
    this.#files = bundle.files();
  }

  /** The file of this path where the list has it; what it has before that is extra. */
  async take(path: string, extra: (path: string) => void): Promise<BundleFile | undefined> {
    if (!this.#begun) await this.#begin();
    if (this.#next === undefined) return undefined;
    if (this.#next.path !== path) {
      const wanted = placeOf(path) as FilePlace;
      while (this.#next !== undefined && comparePlaces(this.#place as FilePlace, wanted) < 0) {
        extra(this.#next.path);
        await this.#step();
      }
    }
    if (this.#next?.path !== path) return undefined;
    const found = this.#next;
    await this.#step();
    return found;
  }

  async rest(extra: (path: string) => void): Promise<void> {
    if (!this.#begun) await this.#begin();
    for (; this.#next !== undefined; await this.#step()) extra(this.#next.path);
  }

  async close(): Promise<void> {
    await this.#files.return(undefined);
  }

  /** Behind the target snapshot's own objects. */
  async #begin(): Promise<void> {
    this.#begun = true;
    for (let passed = 0; passed <= this.bundle.objects.size; passed++) await this.#advance();
    this.#locate(undefined);
  }

  async #step(): Promise<void> {
    const before = this.#place;
    await this.#advance();
    this.#locate(before);
  }

  async #advance(): Promise<void> {
    const { value, done } = await this.#files.next();
    this.#next = done === true ? undefined : value;
  }

  /** @throws MirrorError mismatch where it is no file of a tree, or stands before the file before it. */
  #locate(before: FilePlace | undefined): void {
    if (this.#next === undefined) return;
    const place = placeOf(this.#next.path);
    const shown = JSON.stringify(this.#next.path.slice(0, 200));
    if (place === undefined) throw listed(this.bundle, `${shown}, which is no file of a GOPROXY tree`);
    if (before !== undefined && comparePlaces(before, place) >= 0)
      throw listed(this.bundle, `${shown} out of order`);
    this.#place = place;
  }
}

function listed(bundle: OpenedBundle, what: string): MirrorError {
  return new MirrorError("mismatch", bundle.source.name, `${bundle.source.name}: bundle.json lists ${what}`);
}
