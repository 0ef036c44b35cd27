import { setTimeout as delay } from "node:timers/promises";
import { MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import { HostItem, type HostItemOptions } from "./host-item.ts";
import {
  probeTaken,
  pushedBack,
  rateNow,
  resumed,
  type Slice,
  stopKey,
  stoppedFor,
  takeSlice,
  type UpstreamStop,
} from "./throttle.ts";
import { contended } from "./update.ts";

/** A worker's first slice, in ms; each that it uses up is followed by one twice as long. */
const FIRST_SLICE = 500;
const LONGEST_SLICE = 4_000;
/** A longer wait is not waited for here: the work is due again then, and the worker does other work. In ms. */
const LONGEST_WAIT = 60_000;

export interface UpstreamGateOptions extends HostItemOptions {
  /** The path below which the upstream lies, without a slash at its end. */
  readonly path: string;
  /** Requests a second by all workers together; absent: as many as the host takes. */
  readonly rate?: number;
  /**
   * `at once`: the first request of this process tries a stopped upstream, since whoever started it may have mended the
   * credentials; else it is tried when its time has come.
   */
  readonly probe?: "at once";
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
  readonly report: Report;
}

/** Leave to send one request. */
export interface Pass {
  readonly sentAt: number;
  /** Whether this request tries whether a stopped upstream still refuses. */
  readonly probes: boolean;
}

/** What became of a request, as far as its host is concerned. */
export type Outcome =
  | { readonly is: "served" }
  /** 429 or 503; `wait` as it asked, in ms. */
  | { readonly is: "pushed back"; readonly wait: number | undefined }
  /** Our credentials, or everything; `reason` is one line without secrets. */
  | { readonly is: "refused"; readonly reason: string }
  /** No answer, or one that says nothing of the host. */
  | { readonly is: "unknown" };

/**
 * One upstream's host as all workers know it through the ledger: its rate, taken in slices so that most requests cost no
 * call of the ledger; its `notBefore`; and whether the upstream is stopped, which costs it no further request.
 */
export class UpstreamGate {
  readonly #options: UpstreamGateOptions;
  readonly #item: HostItem;
  #slice: Slice | undefined;
  #used = 0;
  #span = FIRST_SLICE;
  #probe: PromiseWithResolvers<void> | undefined;
  #probesAtOnce: boolean;
  #reported = false;
  /** Looks at the ledger one after the other, so that of many requests at once one reads for all. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: UpstreamGateOptions) {
    this.#options = { ...options, path: stopKey(options.path) };
    this.#item = new HostItem(options);
    this.#probesAtOnce = options.probe === "at once";
  }

  /**
   * Waits until a request may be sent. Its outcome has to be noted.
   * @throws MirrorError stopped; transient with `retryAfter` where the wait is too long for a worker.
   */
  async enter(subject: string): Promise<Pass> {
    for (;;) {
      const entered = await this.#inTurn(() => this.#tryEnter(subject));
      if ("sentAt" in entered) return entered;
      if ("probe" in entered) await entered.probe;
      else await this.#sleep(entered.wait);
    }
  }

  /** @throws MirrorError transient when the ledger does not answer. */
  async note(pass: Pass, outcome: Outcome): Promise<void> {
    try {
      if (outcome.is === "pushed back") {
        const at = this.#options.now();
        await this.#item.change((state) => pushedBack(state, pass.sentAt, at, outcome.wait));
        this.#slice = undefined;
      } else if (outcome.is === "refused") {
        await this.#stop(outcome.reason);
      } else if (outcome.is === "served" && pass.probes) {
        await this.#item.change((state) => resumed(state, this.#options.path));
        this.#reported = false;
      }
    } finally {
      if (pass.probes) {
        this.#probe?.resolve();
        this.#probe = undefined;
      }
    }
  }

  async #tryEnter(subject: string): Promise<Pass | { wait: number } | { probe: Promise<void> }> {
    const { now, path } = this.#options;
    await this.#item.refresh();
    if (this.#probe !== undefined) return { probe: this.#probe.promise };
    const stop = this.#item.state.stopped[path];
    if (stop !== undefined) return await this.#probing(stop, subject);
    this.#probesAtOnce = false;
    const wait = await this.#waitFor(subject);
    return wait > 0 ? { wait } : { sentAt: now(), probes: false };
  }

  /** How long the next request has to wait; 0 where it has used up a place of the slice. */
  async #waitFor(subject: string): Promise<number> {
    const { now, rate, host } = this.#options;
    const perSecond = rateNow(this.#item.state, rate, now());
    if (perSecond === undefined) return Math.max(0, this.#soon(this.#item.state.notBefore - now(), subject));
    let slice = this.#slice;
    if (slice === undefined || this.#used >= slice.count || isOver(slice, now())) {
      const usedUp = slice !== undefined && this.#used >= slice.count;
      this.#span = usedUp ? Math.min(this.#span * 2, LONGEST_SLICE) : FIRST_SLICE;
      const taken = await this.#item.change((state) => {
        // None is taken that begins too late for us: it would be lost for the others.
        this.#soon(Math.max(state.next, state.notBefore) - now(), subject);
        const next = takeSlice(state, rateNow(state, rate, now()) ?? perSecond, now(), this.#span);
        slice = next.slice;
        return next.state;
      });
      if (taken.stopped[this.#options.path] !== undefined) return 1;
      this.#slice = slice;
      this.#used = 0;
    }
    if (slice === undefined) throw contended(host);
    const wait = slice.from + this.#used * slice.interval - now();
    this.#used++;
    if (wait > 0) await this.#sleep(wait);
    return 0;
  }

  #soon(wait: number, subject: string): number {
    if (wait <= LONGEST_WAIT) return wait;
    const { host } = this.#options;
    const message = `${subject}: ${host} asked for a pause of ${Math.ceil(wait / 1000)} s more; it is tried again then`;
    throw new MirrorError("transient", subject, message, { retryAfter: wait });
  }

  async #probing(stop: UpstreamStop, subject: string): Promise<Pass> {
    const { now, path, host, report } = this.#options;
    if (!this.#reported) report({ event: "upstream-stopped", host, path, reason: stop.reason });
    this.#reported = true;
    const isTime = this.#probesAtOnce || now() >= stop.probeAt;
    this.#probesAtOnce = false;
    // Of all workers one writes this: the ledger's condition is the lease.
    if (!isTime || !(await this.#item.write(probeTaken(this.#item.state, path, now()))))
      throw stoppedError(host, stop, subject);
    this.#probe = Promise.withResolvers();
    return { sentAt: now(), probes: true };
  }

  async #stop(reason: string): Promise<void> {
    const { now, path, host, report } = this.#options;
    // First of all, so that the alarm is raised even where nothing can be written.
    if (!this.#reported) report({ event: "upstream-stopped", host, path, reason });
    this.#reported = true;
    await this.#item.change((state) => stoppedFor(state, path, reason, now()));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  #sleep(milliseconds: number): Promise<unknown> {
    return (this.#options.sleep ?? delay)(milliseconds);
  }
}

function isOver({ from, count, interval }: Slice, now: number): boolean {
  return now > from + count * interval;
}

/** For work that waits for it: FAILED, and tried again within the hour. */
function stoppedError(host: string, { reason }: UpstreamStop, subject: string): MirrorError {
  const message = `${subject}: ${host} is not asked, since it refused us: ${reason}`;
  return new MirrorError("stopped", subject, message);
}
