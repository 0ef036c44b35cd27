import { TIME_TO_CLOSE } from "../deadline.ts";
import type { Deadline } from "../parts.ts";

/** Versions of one batch: side by side they cost some hundred calls, and one that dies leaves no more behind. */
const BATCH = 50;

/** Work in batches with rests between them, as long as there is time and its leases are ours. */
export class Batches {
  /** Not all of it was reached. */
  unfinished = false;
  readonly #deadline: Deadline;
  readonly #rest: (() => Promise<void>) | undefined;
  readonly #leases: (() => Promise<boolean>)[];

  constructor(
    { deadline, rest }: { readonly deadline: Deadline; readonly rest?: (() => Promise<void>) | undefined },
    keep: () => Promise<boolean>,
  ) {
    this.#deadline = deadline;
    this.#rest = rest;
    this.#leases = [keep];
  }

  /** There is one lease more that it goes on under. */
  under(keep: () => Promise<boolean>): void {
    this.#leases.push(keep);
  }

  async each<T>(items: readonly T[], act: (some: readonly T[]) => Promise<void>): Promise<void> {
    for (let at = 0; at < items.length; at += BATCH) {
      if (this.#deadline.remaining() < TIME_TO_CLOSE || !(await this.#areOurs())) {
        this.unfinished = true;
        return;
      }
      await act(items.slice(at, at + BATCH));
      await this.#rest?.();
    }
  }
  async #areOurs(): Promise<boolean> {
    for (const keep of this.#leases) if (!(await keep())) return false;
    return true;
  }
}
