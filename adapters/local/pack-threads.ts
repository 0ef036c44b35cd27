import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { MirrorError } from "../../mirror/errors.ts";
import { PACK_THREAD, type PackReply, type PackWork } from "./pack-thread.ts";

/** As many as there are processors, at most: beyond it the disk is the limit. */
const MOST_THREADS = 8;

/** In MiB: what a zip needs is gone with it, and need not be moved on the way. */
const YOUNG = 64;
/** What a thread runs, where build.ts has made one file of all: to load all of that file takes a thread a quarter second. */
declare const PACK_THREAD_PROGRAM: string;
const PROGRAM = typeof PACK_THREAD_PROGRAM === "undefined" ? undefined : PACK_THREAD_PROGRAM;

interface Waiting {
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

/** Threads that check what packs hold: inflating and hashing zips is nearly all of an import's work. */
export class PackThreads {
  readonly #idle: Worker[] = [];
  readonly #all: Worker[] = [];
  readonly #queue: PackWork[] = [];
  readonly #waiting = new Map<number, Waiting>();
  readonly #most = Math.min(MOST_THREADS, availableParallelism());
  #next = 0;
  #closed = false;

  /** @throws MirrorError what checkPackFiles throws. */
  check(work: Omit<PackWork, "id">): Promise<void> {
    const id = this.#next++;
    return new Promise((done, failed) => {
      this.#waiting.set(id, { done, failed });
      this.#queue.push({ ...work, id });
      this.#hand();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#all.map((thread) => thread.terminate()));
  }

  #hand(): void {
    while (this.#queue.length > 0) {
      const thread = this.#idle.pop() ?? (this.#all.length < this.#most ? this.#start() : undefined);
      if (thread === undefined) return;
      thread.ref();
      thread.postMessage(this.#queue.shift());
    }
  }

  #start(): Worker {
    const options = { workerData: PACK_THREAD, resourceLimits: { maxYoungGenerationSizeMb: YOUNG } };
    const thread =
      PROGRAM === undefined
        ? new Worker(new URL("./pack-thread.ts", import.meta.url), options)
        : new Worker(PROGRAM, { ...options, eval: true });
    thread.unref();
    this.#all.push(thread);
    thread.on("message", ({ id, error }: PackReply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      thread.unref();
      this.#idle.push(thread);
      if (error === undefined) waiting?.done();
      else waiting?.failed(new MirrorError(error.class, error.subject, error.message));
      this.#hand();
    });
    thread.on("error", (cause) => this.#fail(cause));
    thread.on("exit", () => {
      if (!this.#closed) this.#fail(new Error("a thread has ended"));
    });
    return thread;
  }

  /** A thread that dies takes its work with it: all that waits fails, and the import is begun again. */
  #fail(cause: unknown): void {
    const message = `import: a thread that checks packs has failed (${String(cause)}); import again`;
    for (const { failed } of this.#waiting.values())
      failed(new MirrorError("transient", "import", message, { cause }));
    this.#waiting.clear();
    this.#queue.length = 0;
  }
}
