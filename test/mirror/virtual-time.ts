/** A clock that moves on only when nobody has anything to do but wait; so hours pass in milliseconds, in order. */
export class VirtualTime {
  #now: number;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  constructor(now = Date.UTC(2026, 10, 23)) {
    this.#now = now;
  }

  readonly now = (): number => this.#now;

  readonly sleep = (milliseconds: number): Promise<void> =>
    new Promise((wake) => {
      this.#sleepers.push({ at: this.#now + Math.max(0, milliseconds), wake });
    });

  /** Runs until this is done, waking whoever sleeps in the order of time. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const settled = work.finally(() => {
      done = true;
    });
    settled.catch(() => undefined);
    while (!done) {
      // What is not waiting for time has had its turn after this: the ledger in memory answers in microtasks.
      await new Promise((turn) => setImmediate(turn));
      if (done) break;
      this.#sleepers.sort((one, other) => one.at - other.at);
      const next = this.#sleepers.shift();
      if (next === undefined) continue;
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    return await settled;
  }
}
