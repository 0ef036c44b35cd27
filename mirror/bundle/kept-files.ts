import type { BundleFile } from "./bundle-json.ts";

/** Where a file lies: its pack, and where in it. */
type Place = Pick<BundleFile, "pack" | "offset">;

/**
 * How far the files of one bundle have been checked and kept, in the order of its list, so that what proves them may
 * follow close behind.
 */
export class KeptFiles {
  /** All files before this place are kept. */
  #end: Place = { pack: 0, offset: 0 };
  #failure: { readonly thrown: unknown } | undefined;
  #waiting: {
    readonly file: Place;
    readonly done: () => void;
    readonly failed: (thrown: unknown) => void;
  }[] = [];

  /** Waits until the file is kept. @throws what `fail` was given. */
  async reached(file: Place): Promise<void> {
    if (isBefore(file, this.#end)) return;
    if (this.#failure !== undefined) throw this.#failure.thrown;
    await new Promise<void>((done, failed) => this.#waiting.push({ file, done, failed }));
  }

  /** All files before this place are kept. */
  advance(end: Place): void {
    this.#end = end;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ file }) => !isBefore(file, end));
    for (const { file, done } of waiting) if (isBefore(file, end)) done();
  }

  /** Nothing more comes. */
  fail(thrown: unknown): void {
    this.#failure = { thrown };
    for (const { failed } of this.#waiting) failed(thrown);
    this.#waiting = [];
  }
}

function isBefore(a: Place, b: Place): boolean {
  return a.pack < b.pack || (a.pack === b.pack && a.offset < b.offset);
}
