import type { ModuleVersion } from "../gomod/version.ts";
import type { SumdbSource } from "../sumdb/client.ts";
import type { Tile } from "../sumdb/tile.ts";
import { MirrorError } from "./errors.ts";
import type { Clock } from "./ports.ts";

/** How long it holds, in ms, whether the source serves the database at all. */
const SERVED_TTL = 60_000;

/**
 * A database's source, with its faults told from what it says of versions: a tile or a head that it lacks or refuses is
 * a fault of the source; only a lookup that is absent says something of a version.
 */
export class ProofSource implements SumdbSource {
  readonly #source: SumdbSource;
  readonly #database: string;
  readonly #now: Clock;
  #served: { readonly at: number; readonly answer: Promise<void> } | undefined;

  constructor(source: SumdbSource, database: string, now: Clock) {
    this.#source = source;
    this.#database = database;
    this.#now = now;
  }

  latest(): Promise<Uint8Array> {
    return this.#source.latest().catch(this.#asFault);
  }

  lookup(version: ModuleVersion): Promise<Uint8Array> {
    return this.#source.lookup(version);
  }

  tile(tile: Tile): Promise<Uint8Array> {
    return this.#source.tile(tile).catch(this.#asFault);
  }

  /**
   * An upstream that has no checksum database at all has no record of any version: that says nothing of the version.
   * @throws MirrorError transient where it does not serve the database.
   */
  async checkServed(): Promise<void> {
    const now = this.#now();
    if (this.#served === undefined || now - this.#served.at > SERVED_TTL)
      this.#served = { at: now, answer: this.#source.latest().then(() => undefined) };
    try {
      await this.#served.answer;
    } catch (cause) {
      const message = `${this.#database}: not served by this upstream; give its own URL with --sumdb`;
      throw new MirrorError("transient", this.#database, message, { cause });
    }
  }

  readonly #asFault = (thrown: unknown): never => {
    if (!(thrown instanceof MirrorError) || (thrown.class !== "absent" && thrown.class !== "withheld"))
      throw thrown;
    throw new MirrorError("transient", this.#database, `${this.#database}: ${thrown.message}`, {
      cause: thrown,
    });
  };
}
