import type { LedgerItem } from "./ledger-entries.ts";
import type { Clock, Ledger } from "./ports.ts";
import { type HostState, hostValue, parseHostState } from "./throttle.ts";
import { contended, MOST_RACES } from "./update.ts";

/** What is known of a host is read again after this many ms: as late as other workers' news may come. */
const REFRESH = 10_000;

export interface HostItemOptions {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
  /** `name` or `name:port`. */
  readonly host: string;
  readonly now: Clock;
}

/** What all workers know of an upstream's host: the ledger's item, as this worker last saw it. */
export class HostItem {
  readonly #options: HostItemOptions;
  #state: HostState = parseHostState(undefined);
  #revision = 0;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(options: HostItemOptions) {
    this.#options = options;
  }

  get state(): HostState {
    return this.#state;
  }

  /** Reads it again where it was read long ago, or was found changed. */
  async refresh(): Promise<void> {
    if (this.#options.now() - this.#readAt > REFRESH) await this.#read();
  }

  /** Changes it over whatever other workers have written; `change` may run several times. */
  async change(change: (state: HostState) => HostState): Promise<HostState> {
    for (let race = 0; race < MOST_RACES; race++) {
      const next = change(this.#state);
      if (next === this.#state || (await this.write(next))) return this.#state;
      await this.#read();
    }
    throw contended(this.#options.host);
  }

  async #read(): Promise<void> {
    const { ledger, host, now } = this.#options;
    const item = await ledger.readItem("upstream", host);
    this.#state = parseHostState(item?.value);
    this.#revision = item?.revision ?? 0;
    this.#readAt = now();
  }

  /** @returns whether it is stored; else another worker was first. */
  async write(state: HostState): Promise<boolean> {
    const { ledger, host } = this.#options;
    const item: LedgerItem = {
      kind: "upstream",
      name: host,
      revision: this.#revision,
      value: hostValue(state),
    };
    const written = await ledger.writeItem(item);
    if (written === "changed") {
      this.#readAt = Number.NEGATIVE_INFINITY;
      return false;
    }
    this.#state = state;
    this.#revision = written.revision;
    return true;
  }
}
