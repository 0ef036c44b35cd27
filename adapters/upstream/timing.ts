/** How long an upstream may take, by phase; milliseconds unless it says otherwise. */
export interface Timing {
  /** Name look-up, TCP and TLS. */
  readonly connect: number;
  /** From the request to the end of the reply's headers. */
  readonly headers: number;
  /** Between two pieces of a body. */
  readonly idle: number;
  /** The whole exchange, redirects included. */
  readonly whole: number;
  /** In every window of this length a body has to bring `leastRate` bytes a second. */
  readonly rateWindow: number;
  /** Bytes a second. */
  readonly leastRate: number;
}

/**
 * cmd/go has no time-outs (facts: it waits for ever), so these are ours. 10 s is undici's own for connecting; 30 s of
 * silence is what AWS API Gateway allows a server (29 s); 300 s is one unit of work (docs/architecture.md, Errors);
 * 1 KiB/s is far below any line over which a 500 MiB zip could pass in that time, and ends a trickle in 30 s.
 */
export const DEFAULT_TIMING: Timing = {
  connect: 10_000,
  headers: 30_000,
  idle: 30_000,
  whole: 300_000,
  rateWindow: 30_000,
  leastRate: 1024,
};

/** Something with deadlines that must be looked at now and then. */
export interface Watched {
  /** @param now performance.now() */
  check(now: number): void;
}

/**
 * Looks at all running transfers with one timer, since arming several a request costs more than the request.
 * Deadlines are kept to a quarter of the shortest of them, at most a second.
 */
export class Watchdog {
  readonly #watched = new Set<Watched>();
  readonly #tick: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(timing: Timing) {
    const shortest = Math.min(timing.headers, timing.idle, timing.whole, timing.rateWindow);
    this.#tick = Math.min(Math.max(shortest / 4, 5), 1000);
  }

  get size(): number {
    return this.#watched.size;
  }

  watch(transfer: Watched): void {
    this.#watched.add(transfer);
    this.#timer ??= setInterval(() => this.checkAll(performance.now()), this.#tick);
  }

  forget(transfer: Watched): void {
    this.#watched.delete(transfer);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  checkAll(now: number): void {
    for (const transfer of this.#watched) transfer.check(now);
  }
}
