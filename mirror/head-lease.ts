import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { MirrorError } from "./errors.ts";
import type { Clock, Ledger } from "./ports.ts";

/** Adding a head reads and writes a handful of objects; the lease outlives any one of them by far. In ms. */
const HEAD_LEASE = 60_000;
const LEASE_POLL = 200;

export interface HeadLeaseParts {
  readonly database: string;
  readonly ledger: Pick<Ledger, "takeLease" | "releaseLease">;
  readonly now: Clock;
  /** Names this process; of one process too, only one call holds the lease. */
  readonly owner: string;
}

/**
 * One call's hold on the heads of a database: between `take` and `release` no other worker, and nothing else in this
 * process, adds a head. It runs out after a minute, so that whoever dies keeps nobody from going on.
 */
export class HeadLease {
  readonly #parts: HeadLeaseParts;
  readonly #name: string;
  /** A lease is renewed by whoever bears its owner's name: so each call has a name of its own. */
  readonly #holder: string;

  constructor(parts: HeadLeaseParts) {
    this.#parts = parts;
    this.#name = `head#${parts.database}`;
    this.#holder = `${parts.owner}#${randomUUID()}`;
  }

  /** Waits for it, or renews it. @throws MirrorError transient when another held it for a minute. */
  async take(): Promise<void> {
    const { ledger, now } = this.#parts;
    const giveUp = now() + HEAD_LEASE;
    while (!(await ledger.takeLease(this.#name, this.#holder, now(), now() + HEAD_LEASE))) {
      if (now() > giveUp) {
        const message = `${this.#name}: another worker has held this lease for a minute; try again`;
        throw new MirrorError("transient", this.#name, message);
      }
      await sleep(LEASE_POLL);
    }
  }

  /** Gives it back, if it is held. */
  async release(): Promise<void> {
    await this.#parts.ledger.releaseLease(this.#name, this.#holder);
  }
}
