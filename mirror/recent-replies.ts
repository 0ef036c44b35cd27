/** Replies are counted in spells of this many ms; those of the one before count too. */
const SPELL = 30_000;
/** Up to this part of the recent replies a 503 may be about one file, or one bad moment, and not about us. */
const FEW = 1 / 20;

interface Spell {
  readonly began: number;
  all: number;
  unavailable: number;
}

/** How many of the requests that this worker sent to a host lately were answered with 503. */
export class RecentReplies {
  #now: Spell = { began: Number.NEGATIVE_INFINITY, all: 0, unavailable: 0 };
  #before: Spell = this.#now;

  /** @returns whether more than a few of them were. */
  note(now: number, unavailable: boolean): boolean {
    if (now - this.#now.began >= SPELL) {
      const isNext = now - this.#now.began < 2 * SPELL;
      this.#before = isNext ? this.#now : { began: now, all: 0, unavailable: 0 };
      this.#now = { began: now, all: 0, unavailable: 0 };
    }
    this.#now.all++;
    if (unavailable) this.#now.unavailable++;
    const bad = this.#before.unavailable + this.#now.unavailable;
    return bad > FEW * (this.#before.all + this.#now.all);
  }
}
