/** How long an outcome of the probe holds, in milliseconds: a burst of refusals costs one probe. */
const PROBE_TTL = 5_000;

/** What an upstream does with a known-good file: serves it, refuses it, or cannot be told. */
export type ProbeOutcome = "served" | "refused" | "unknown";

/** A path that the upstream has answered well. */
export interface KnownGood {
  /** Module path, or the checksum database's name: a refusal is best judged by what another one answers. */
  readonly about: string;
  readonly path: string;
}

/**
 * Tells whether an upstream refuses one thing or everything. It asks again for what this process last got from it,
 * then for the checksum database's newest head; it says `refused` only when all that it can ask is refused.
 */
export class Probe {
  readonly #ask: (path: string) => Promise<ProbeOutcome>;
  readonly #clock: () => number;
  /** At most two, about different things, the newest first. */
  #known: KnownGood[] = [];
  #database: string | undefined;
  #last: { readonly at: number; readonly outcome: Promise<ProbeOutcome> } | undefined;

  /** @param ask one GET of a path below the upstream's address; what it throws (transient) ends the probe. */
  constructor(ask: (path: string) => Promise<ProbeOutcome>, clock: () => number) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** Notes a path that answered 200 with fitting content. */
  remember(good: KnownGood): void {
    const newest = this.#known[0];
    if (newest?.about === good.about) this.#known[0] = good;
    else this.#known = newest === undefined ? [good] : [good, newest];
  }

  /** The database whose head is asked for when nothing has succeeded yet. */
  set database(headPath: string) {
    this.#database = headPath;
  }

  /**
   * @param about what was refused.
   * @throws MirrorError transient when the upstream does not answer the probe either.
   */
  outcome(about: string): Promise<ProbeOutcome> {
    const now = this.#clock();
    if (this.#last === undefined || now - this.#last.at > PROBE_TTL) {
      this.#last = { at: now, outcome: this.#probe(about) };
    }
    return this.#last.outcome;
  }

  async #probe(about: string): Promise<ProbeOutcome> {
    const others = this.#known.filter((good) => good.about !== about);
    const same = this.#known.filter((good) => good.about === about);
    const paths = [...others, ...same].map((good) => good.path);
    if (this.#database !== undefined) paths.push(this.#database);
    let refused = false;
    for (const path of new Set(paths)) {
      const outcome = await this.#ask(path);
      if (outcome === "served") return outcome;
      refused ||= outcome === "refused";
    }
    return refused ? "refused" : "unknown";
  }
}
