import { statSync } from "node:fs";
import { Worker } from "node:worker_threads";

/** A zip's file, and whose it is. */
export interface ZipFile {
  readonly file: string;
  readonly path: string;
  readonly version: string;
}

/** The threads of hash.bench.ts, for any zips: each takes the next one when it is free. */
export class HashThreads {
  readonly #pool: readonly Worker[];

  constructor(threads: number) {
    this.#pool = Array.from(
      { length: threads },
      () => new Worker(new URL("./hash-thread.ts", import.meta.url)),
    );
  }

  async hashAll(zips: readonly ZipFile[]): Promise<void> {
    // The largest first: else all wait in the end for one thread.
    const sorted = zips.toSorted((a, b) => statSync(b.file).size - statSync(a.file).size);
    let next = 0;
    await Promise.all(
      this.#pool.map(async (thread) => {
        for (let zip = sorted[next++]; zip !== undefined; zip = sorted[next++]) await this.#hash(thread, zip);
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.#pool.map((thread) => thread.terminate()));
  }

  #hash(thread: Worker, zip: ZipFile): Promise<void> {
    return new Promise((done) => {
      thread.once("message", () => done());
      thread.postMessage(zip);
    });
  }
}
