import { mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Sha256 } from "../../mirror/body.ts";
import type { HashedFileWriter } from "../../mirror/bundle/bundle-ports.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { fileError } from "./file-error.ts";
import { WRITE_THREAD, type WriteReply, type WriteWork } from "./write-thread.ts";

/** Bytes of one part, and parts that are in use over and over: while some are written, the next is filled. */
const PART = 1 << 20;
const PARTS = 4;

/** What a thread runs, where build.ts has made one file of all. */
declare const PACK_THREAD_PROGRAM: string;
const PROGRAM = typeof PACK_THREAD_PROGRAM === "undefined" ? undefined : PACK_THREAD_PROGRAM;

/** A file that a thread of its own writes and hashes, in memory that both threads share. */
export class FileWrittenApart implements HashedFileWriter {
  readonly #path: string;
  readonly #settle: (folder: string) => Promise<void>;
  readonly #temporary: string;
  readonly #thread: Worker;
  readonly #parts = Array.from(
    { length: PARTS },
    (): Uint8Array => new Uint8Array(new SharedArrayBuffer(PART)),
  );
  readonly #free = [...this.#parts];
  #current: Uint8Array | undefined;
  #sha256: Sha256 | undefined;
  #failure: MirrorError | undefined;
  #wake: (() => void) | undefined;

  /**
   * @param path is there once it is finished; its folder is made where it is missing.
   * @param settle makes the names in a folder durable.
   */
  constructor(path: string, settle: (folder: string) => Promise<void>) {
    this.#settle = settle;
    this.#path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.part`);
    mkdirSync(dirname(path), { recursive: true });
    const workerData = { is: WRITE_THREAD, path: this.#temporary, parts: this.#parts };
    this.#thread =
      PROGRAM === undefined
        ? new Worker(new URL("./pack-thread.ts", import.meta.url), { workerData })
        : new Worker(PROGRAM, { workerData, eval: true });
    this.#thread.unref();
    this.#thread.on("message", (reply: WriteReply) => this.#hear(reply));
    this.#thread.on("error", (cause) => this.#fail(cause));
    this.#thread.on("exit", () => {
      if (this.#sha256 === undefined) this.#fail(new Error("it has ended"));
    });
  }

  async next(): Promise<Uint8Array> {
    await this.#until(() => this.#free.length > 0);
    this.#current = this.#free.pop() as Uint8Array;
    return this.#current;
  }

  put(length: number): void {
    const part = this.#parts.indexOf(this.#current as Uint8Array);
    this.#thread.postMessage({ part, length } satisfies WriteWork);
    this.#current = undefined;
  }

  async finish(): Promise<Sha256> {
    this.#thread.postMessage({ part: -1, length: 0 } satisfies WriteWork);
    try {
      await this.#until(() => this.#sha256 !== undefined);
      await this.#thread.terminate();
      renameSync(this.#temporary, this.#path);
      await this.#settle(dirname(this.#path));
    } catch (error) {
      await this.discard();
      throw fileError(error, this.#path);
    }
    return this.#sha256 as Sha256;
  }

  async discard(): Promise<void> {
    await this.#thread.terminate();
    rmSync(this.#temporary, { force: true });
  }

  /** The process lives on for the thread only while somebody waits for it. */
  async #until(isSo: () => boolean): Promise<void> {
    this.#thread.ref();
    while (this.#failure === undefined && !isSo())
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    this.#thread.unref();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #hear(reply: WriteReply): void {
    if ("error" in reply) {
      const { class: errorClass, subject, message } = reply.error;
      this.#failure ??= new MirrorError(errorClass, subject, message);
    } else if ("sha256" in reply) this.#sha256 = reply.sha256;
    else this.#free.push(this.#parts[reply.part] as Uint8Array);
    this.#wake?.();
  }

  #fail(cause: unknown): void {
    const message = `${this.#path}: the thread that writes it has failed (${String(cause)}); export again`;
    this.#failure ??= new MirrorError("transient", this.#path, message, { cause });
    this.#wake?.();
  }
}
