import type { LedgerItem } from "./ledger-entries.ts";
import type { Clock, Ledger } from "./ports.ts";
import { contended, MOST_RACES } from "./update.ts";

/** What is known is read again after this many ms: as late as other workers' news may come. */
export const REFRESH = 10_000;

export interface SharedItemOptions<State> {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
  readonly kind: LedgerItem["kind"];
  readonly name: string;
  readonly now: Clock;
  /** Of what is stored; of nothing too. */
  readonly parse: (value: LedgerItem["value"] | undefined) => State;
  readonly value: (state: State) => LedgerItem["value"];
}

/** What all workers know of something: a ledger's item, as this worker last saw it. */
export class SharedItem<State> {
  readonly #options: SharedItemOptions<State>;
  #state: State;
  #revision = 0;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: SharedItemOptions<State>) {
    this.#options = options;
    this.#state = options.parse(undefined);
  }

  get state(): State {
    return this.#state;
  }

  /** Reads it again where it was read long ago, or was found changed. */
  async refresh(): Promise<void> {
    if (this.#options.now() - this.#readAt > REFRESH) await this.read();
  }

  /** Changes it over whatever other workers have written; `change` may run several times. */
  async change(change: (state: State) => State): Promise<State> {
    for (let race = 0; race < MOST_RACES; race++) {
      const next = change(this.#state);
      if (next === this.#state || (await this.write(next))) return this.#state;
      await this.read();
    }
    throw contended(this.#options.name);
  }

  async read(): Promise<void> {
    const { ledger, kind, name, now, parse } = this.#options;
    const item = await ledger.readItem(kind, name);
    this.#state = parse(item?.value);
    this.#revision = item?.revision ?? 0;
    this.#readAt = now();
  }

  /** @returns whether it is stored; else another worker was first. */
  async write(state: State): Promise<boolean> {
    const { ledger, kind, name, value } = this.#options;
    const written = await ledger.writeItem({ kind, name, revision: this.#revision, value: value(state) });
    if (written === "changed") {
      this.#readAt = Number.NEGATIVE_INFINITY;
      return false;
    }
    this.#state = state;
    this.#revision = written.revision;
    return true;
  }
}
