import { hash } from "node:crypto";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { H1 } from "../../gomod/dirhash.ts";
import { FormatError } from "../../gomod/format-error.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import type { Sha256 } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { sha256OfObject } from "../../mirror/object-sha256.ts";
import type { StoredObject } from "../../mirror/ports.ts";
import type { ZipHasher } from "../../mirror/scrub/content-check.ts";

/** Larger zips are read in windows by this thread, so that memory stays bounded. */
const WHOLE_LIMIT = 64 * 1024 * 1024;
/** What a thread of this file finds in its workerData; in the built single file, it is that file which begins anew. */
const ROLE = "modferry zip thread";

interface Question {
  readonly id: number;
  readonly bytes: ArrayBuffer;
  readonly version: ModuleVersion;
}

type Answer = { readonly id: number } & (
  | { readonly h1: H1; readonly sha256: Sha256 }
  /** `subject` where the zip itself is malformed. */
  | { readonly subject?: string; readonly message: string }
);

interface Waiting {
  readonly resolve: (hashes: { h1: H1; sha256: Sha256 }) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Reads stored zips here and hashes them on other threads; the bytes are handed over to them. The least busy thread is
 * asked next.
 */
export class ZipThreads implements ZipHasher {
  readonly threads: number;
  readonly #pool: { readonly worker: Worker; readonly waiting: Map<number, Waiting> }[];
  #next = 0;

  constructor(threads = 2) {
    this.threads = threads;
    this.#pool = Array.from({ length: threads }, () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: ROLE });
      const waiting = new Map<number, Waiting>();
      worker.on("message", (answer: Answer) => {
        const asked = waiting.get(answer.id);
        waiting.delete(answer.id);
        if (waiting.size === 0) worker.unref();
        if ("h1" in answer) asked?.resolve(answer);
        else asked?.reject(errorOf(answer));
      });
      worker.on("error", (cause) => {
        const error = new MirrorError("transient", "zip", `a thread that hashes zips ended: ${cause}`, {
          cause,
        });
        for (const asked of waiting.values()) asked.reject(error);
        waiting.clear();
      });
      worker.unref();
      return { worker, waiting };
    });
  }

  async hash(stored: StoredObject, version: ModuleVersion): Promise<{ h1: H1; sha256: Sha256 }> {
    if (stored.size > WHOLE_LIMIT)
      return { h1: (await checkAndHashZip(stored, version)).h1, sha256: await sha256OfObject(stored) };
    // A copy, for what is read may lie in a buffer of somebody else's; it costs less than a hundredth of the hash.
    const bytes = new Uint8Array(await stored.read(0, stored.size)).buffer;
    const [first] = this.#pool.toSorted((a, b) => a.waiting.size - b.waiting.size);
    if (first === undefined) throw new RangeError("no threads");
    const id = this.#next++;
    const { path, version: named } = version;
    return await new Promise((resolve, reject) => {
      first.waiting.set(id, { resolve, reject });
      first.worker.ref();
      const question: Question = { id, bytes, version: { path, version: named } };
      first.worker.postMessage(question, [bytes]);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#pool.map(({ worker }) => worker.terminate()));
  }
}

function errorOf({ subject, message }: { readonly subject?: string; readonly message: string }): Error {
  return subject === undefined
    ? new MirrorError("transient", "zip", message)
    : new FormatError(subject, message);
}

/** Whether this process's file is being run as one of our threads, and so must do nothing else. */
export const isZipThread = !isMainThread && workerData === ROLE;

if (isZipThread) {
  parentPort?.on("message", async ({ id, bytes, version }: Question) => {
    parentPort?.postMessage(await answerOf(id, new Uint8Array(bytes), version));
  });
}

async function answerOf(id: number, bytes: Uint8Array, version: ModuleVersion): Promise<Answer> {
  try {
    const { h1 } = await checkAndHashZip(bytesSource(bytes), version);
    return { id, h1, sha256: hash("sha256", bytes, "hex") as Sha256 };
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { id, message, ...(thrown instanceof FormatError ? { subject: thrown.subject } : {}) };
  }
}
