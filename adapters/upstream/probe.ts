import { type KnownGood, REFUSES_ALL } from "../../mirror/upstream-state.ts";

/** How long an outcome of the probe holds, in milliseconds: a burst of refusals costs one probe. */
const PROBE_TTL = 5_000;

/** What an upstream does with a known-good file: serves it, refuses it, or cannot be told. */
export type ProbeOutcome = "served" | "refused" | "unknown";
/** `nothing`: there is no file that it is known to have. */
type Probed = ProbeOutcome | "nothing";

/** What other processes know of the upstream, and are told of it (mirror/upstream-gate.ts). */
export interface SharedKnowledge {
  knownGood(): Promise<KnownGood | undefined>;
  noteGood(good: KnownGood): Promise<void>;
  noteRefused(about: string): Promise<boolean>;
}

/**
 * Tells whether an upstream refuses one thing or everything. It asks again for what this process last got from it, then
 * for what another process has got, then for the checksum database's newest head; it says `refused` only when all that it
 * can ask is refused. Where nothing can be asked, one refusal says nothing; that of several modules, and of nothing else
 * served, does.
 */
export class Probe {
  readonly #ask: (path: string) => Promise<ProbeOutcome>;
  readonly #clock: () => number;
  readonly #shared: SharedKnowledge | undefined;
  /** Without others to tell: different modules that were refused while nothing was known to be served. */
  readonly #refused = new Set<string>();
  /** At most two, about different things, the newest first. */
  #known: KnownGood[] = [];
  #database: string | undefined;
  #last: { readonly at: number; readonly outcome: Promise<Probed> } | undefined;

  /** @param ask one GET of a path below the upstream's address; what it throws (transient) ends the probe. */
  constructor(
    ask: (path: string) => Promise<ProbeOutcome>,
    clock: () => number,
    shared: SharedKnowledge | undefined,
  ) {
    this.#ask = ask;
    this.#clock = clock;
    this.#shared = shared;
  }

  /** Notes a path that answered 200 with fitting content. */
  async remember(good: KnownGood): Promise<void> {
    this.#remember(good);
    this.#refused.clear();
    // A ledger that does not answer takes nothing from what was served; the next one is noted.
    await this.#shared?.noteGood(good).catch(() => undefined);
  }

  #remember(good: KnownGood): void {
    const newest = this.#known[0];
    if (newest?.about === good.about) this.#known[0] = good;
    else this.#known = newest === undefined ? [good] : [good, newest];
  }

  /** The database whose head is asked for when nothing has succeeded yet. */
  set database(headPath: string) {
    this.#database = headPath;
  }

  /**
   * What a refusal means: `refused` where it is everything.
   * @param about what was refused.
   * @throws MirrorError transient when the upstream does not answer the probe either.
   */
  async outcome(about: string): Promise<ProbeOutcome> {
    const probed = await this.#probed(about);
    if (probed !== "nothing" && probed !== "unknown") return probed;
    return (await this.#refusesAll(about)) ? "refused" : "unknown";
  }

  /** Whether a fault of the upstream's is one with everything: it answers no known file, or none is known. */
  async isDown(about: string): Promise<boolean> {
    try {
      return (await this.#probed(about)) === "nothing";
    } catch {
      return true;
    }
  }

  #probed(about: string): Promise<Probed> {
    const now = this.#clock();
    if (this.#last === undefined || now - this.#last.at > PROBE_TTL) {
      this.#last = { at: now, outcome: this.#probe(about) };
    }
    return this.#last.outcome;
  }

  async #probe(about: string): Promise<Probed> {
    const others = this.#known.filter((good) => good.about !== about);
    const same = this.#known.filter((good) => good.about === about);
    const elsewhere = others.length > 0 ? undefined : await this.#shared?.knownGood();
    const paths = [...others, ...(elsewhere === undefined ? [] : [elsewhere]), ...same].map(
      ({ path }) => path,
    );
    if (this.#database !== undefined) paths.push(this.#database);
    let probed: Probed = "nothing";
    for (const path of new Set(paths)) {
      const outcome = await this.#ask(path);
      if (outcome === "served") return outcome;
      if (probed !== "refused") probed = outcome;
    }
    return probed;
  }

  /** One alone may be withheld; several different modules, and nothing else served, are everything as far as we can tell. */
  async #refusesAll(about: string): Promise<boolean> {
    if (this.#shared !== undefined) return await this.#shared.noteRefused(about);
    this.#refused.add(about);
    return this.#refused.size >= REFUSES_ALL;
  }
}
