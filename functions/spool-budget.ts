import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Body, isSpool } from "../mirror/body.ts";

/** Bytes of spools at a time in one process: three zips of 500 MiB, below the 2,048 MB of work's /tmp. */
export const SPOOL_BYTES = 1_500 * 1024 * 1024;

/**
 * Lets spools in while all that are there could grow to their limits and still fit; the others wait, first come first
 * served. Nobody who waits holds one, so somebody always goes on.
 */
export class SpoolBudget {
  readonly #bytes: number;
  readonly #waiting: { readonly bytes: number; readonly enter: () => void }[] = [];
  #held = 0;

  constructor(bytes = SPOOL_BYTES) {
    this.#bytes = bytes;
  }

  /**
   * @param limit most bytes that `receive` may take; one that is larger than the whole budget goes alone.
   * @returns what it gave; a spool's share is free again once it is disposed of.
   */
  async hold(limit: number, receive: () => Promise<Body>): Promise<Body> {
    const bytes = Math.min(limit, this.#bytes);
    await new Promise<void>((enter) => {
      this.#waiting.push({ bytes, enter });
      this.#admit();
    });
    let holding = true;
    const free = () => {
      if (holding) this.#held -= bytes;
      holding = false;
      this.#admit();
    };
    try {
      const body = await receive();
      if (!isSpool(body)) {
        free();
        return body;
      }
      const dispose = body.dispose.bind(body);
      return Object.assign(body, { dispose: () => dispose().finally(free) });
    } catch (error) {
      free();
      throw error;
    }
  }

  #admit(): void {
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined || this.#held + next.bytes > this.#bytes) return;
      this.#waiting.shift();
      this.#held += next.bytes;
      next.enter();
    }
  }
}

/**
 * Removes the spools of processes that are gone: Lambda keeps /tmp when it kills a call at its time-out, and starts the
 * process anew. Those of other living processes stay, since an emulator's functions share one /tmp.
 */
export function sweepSpools(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return; // No spool was made here yet.
  }
  for (const name of names) {
    const pid = Number(/^spool-(\d{1,9})-/.exec(name)?.[1]);
    // This process has made none yet: one under its own number is of an earlier process with that number.
    if (pid > 0 && (pid === process.pid || !isAlive(pid))) rmSync(join(folder, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
