/** How far a line is covered from its beginning, by parts that come in nearly any order; none overlaps another. */
export class Covered {
  readonly #ends = new Map<number, number>();
  #upTo: number | undefined;

  /** @param from where it begins; undefined: with the first part that `begin` is told of. */
  constructor(from: number | undefined) {
    this.#upTo = from;
  }

  /** All before it is covered; 0 where nothing is. */
  get upTo(): number {
    return this.#upTo ?? 0;
  }

  /** Where it begins, unless it has. */
  begin(at: number): void {
    this.#upTo ??= at;
  }

  /** @param start and end (exclusive) of a part. */
  add(start: number, end: number): void {
    if (this.#upTo === undefined || start < this.#upTo) return;
    this.#ends.set(start, end);
    for (;;) {
      const next = this.#ends.get(this.#upTo);
      if (next === undefined) return;
      this.#ends.delete(this.#upTo);
      this.#upTo = next;
    }
  }
}
