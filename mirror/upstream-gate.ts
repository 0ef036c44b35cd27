import { setTimeout as delay } from "node:timers/promises";
import { MirrorError } from "./errors.ts";
import type { Report } from "./events.ts";
import type { Clock, Ledger } from "./ports.ts";
import { RecentReplies } from "./recent-replies.ts";
import { SharedItem } from "./shared-item.ts";
import {
  answering,
  down,
  type HostState,
  hostValue,
  parseHostState,
  pushedBack,
  rateNow,
  resumedOn,
  type Slice,
  takeSlice,
  withKey,
  withoutKey,
} from "./throttle.ts";
import { contended } from "./update.ts";
import {
  type KnownGood,
  parseUpstreamState,
  probeTaken,
  REFUSES_ALL,
  refusedOne,
  resumed,
  servedOne,
  shownPath,
  stoppedFor,
  type UpstreamState,
  type UpstreamStop,
  upstreamItemName,
  upstreamKey,
  upstreamValue,
} from "./upstream-state.ts";

/** A worker's first slice, in ms; each that it uses up is followed by one twice as long. */
const FIRST_SLICE = 500;
const LONGEST_SLICE = 4_000;
/** A longer wait is not waited for here: the work is due again then, and the worker does other work. In ms. */
const LONGEST_WAIT = 60_000;

export interface UpstreamGateOptions {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
  /** `name` or `name:port`. */
  readonly host: string;
  readonly now: Clock;
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
  /** 429 is about us, 503 perhaps about one file; `wait` as it asked, in ms. */
  | { readonly is: "pushed back"; readonly status: 429 | 503; readonly wait: number | undefined }
  /** Our credentials, or everything; `reason` is one line without secrets. */
  | { readonly is: "refused"; readonly reason: string }
  /** No answer, or one that says nothing of the host. */
  | { readonly is: "unknown" };

/** Whether an upstream may be asked, and what its answers say of it. */
export interface RequestGate {
  /**
   * Waits until a request may be sent. Its outcome has to be noted.
   * @throws MirrorError stopped; transient with `retryAfter` where the wait is too long for a worker.
   */
  enter(subject: string): Promise<Pass>;
  /** @throws MirrorError transient when the ledger does not answer. */
  note(pass: Pass, outcome: Outcome): Promise<void>;
  /** It answered nothing, or with faults to whatever was asked. */
  noteDown(): Promise<void>;
  /** What some process has noted that it serves. */
  knownGood(): Promise<KnownGood | undefined>;
  noteGood(good: KnownGood): Promise<void>;
  /**
   * It refused a file of this module, and no file that is known to be served told whether it refuses all.
   * @returns whether it has refused so many different ones that it refuses all, as far as anybody can tell.
   */
  noteRefused(about: string): Promise<boolean>;
}

/**
 * One upstream's host as all workers know it through the ledger: its rate, taken in slices so that most requests cost no
 * call of the ledger; its `notBefore`; and whether the upstream is stopped, which costs it no further request. What is
 * known of the upstream alone lies in an item of its own, which is read only where the host's says that there is one.
 */
export class UpstreamGate implements RequestGate {
  readonly #options: UpstreamGateOptions;
  readonly #key: string;
  readonly #host: SharedItem<HostState>;
  readonly #upstream: SharedItem<UpstreamState>;
  readonly #replies = new RecentReplies();
  #slice: Slice | undefined;
  #used = 0;
  #span = FIRST_SLICE;
  #probe: PromiseWithResolvers<void> | undefined;
  #probesAtOnce: boolean;
  #reported = false;
  #isNoting = false;
  /** Whether what is known to be served was noted since the stop. */
  #isGoodNew = false;
  /** Looks at the ledger one after the other, so that of many requests at once one reads for all. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: UpstreamGateOptions) {
    const { ledger, now, host, path } = options;
    this.#options = { ...options, path: shownPath(path) };
    this.#key = upstreamKey(path);
    const common = { ledger, now, kind: "upstream" } as const;
    this.#host = new SharedItem({ ...common, name: host, parse: parseHostState, value: hostValue });
    this.#upstream = new SharedItem({
      ...common,
      name: upstreamItemName(host, path),
      parse: parseUpstreamState,
      value: upstreamValue,
    });
    this.#probesAtOnce = options.probe === "at once";
  }

  async enter(subject: string): Promise<Pass> {
    for (;;) {
      const entered = await this.#inTurn(() => this.#tryEnter(subject));
      if ("sentAt" in entered) return entered;
      if ("probe" in entered) await entered.probe;
      else await this.#sleep(entered.wait);
    }
  }

  async note(pass: Pass, outcome: Outcome): Promise<void> {
    try {
      const isUnavailable = outcome.is === "pushed back" && outcome.status === 503;
      const many = this.#replies.note(this.#options.now(), isUnavailable);
      if (outcome.is === "pushed back" && (many || !isUnavailable)) {
        const at = this.#options.now();
        await this.#host.change((state) => pushedBack(state, pass.sentAt, at, outcome.wait));
        this.#slice = undefined;
      } else if (outcome.is === "refused") {
        await this.#stop(outcome.reason);
      } else if (outcome.is === "served") {
        if (this.#host.state.downSince > 0)
          await this.#host.change((state) => answering(state, this.#options.now()));
        if (pass.probes) await this.#resume();
      }
    } finally {
      if (pass.probes) {
        this.#probe?.resolve();
        this.#probe = undefined;
      }
    }
  }

  async noteDown(): Promise<void> {
    await this.#host.change((state) => down(state, this.#options.now()));
  }

  async knownGood(): Promise<KnownGood | undefined> {
    if (!this.#host.state.known.includes(this.#key)) return undefined;
    await this.#upstream.refresh();
    return this.#upstream.state.good;
  }

  /** The upstream's item first: a crash in between costs no more than that it is noted once more. */
  async noteGood(good: KnownGood): Promise<void> {
    // What a stopped one has refused to serve gives way to what lets it go on.
    const isStopped = this.#host.state.stopped.includes(this.#key);
    if (this.#isNoting || (this.#host.state.known.includes(this.#key) && !isStopped)) return;
    this.#isNoting = true;
    try {
      await this.#readAnew();
      await this.#upstream.change((state) =>
        servedOne(isStopped ? { ...state, good: undefined } : state, good),
      );
      await this.#host.change((state) => withKey(state, "known", this.#key));
      this.#isGoodNew = isStopped;
    } finally {
      this.#isNoting = false;
    }
  }

  async noteRefused(about: string): Promise<boolean> {
    await this.#readAnew();
    const { refused } = await this.#upstream.change((state) => refusedOne(state, about));
    await this.#host.change((state) => withoutKey(state, "known", this.#key));
    return refused.length >= REFUSES_ALL;
  }

  async #tryEnter(subject: string): Promise<Pass | { wait: number } | { probe: Promise<void> }> {
    const { now } = this.#options;
    await this.#host.refresh();
    if (this.#probe !== undefined) return { probe: this.#probe.promise };
    const stop = await this.#stopNow();
    if (stop !== undefined) return await this.#probing(stop, subject);
    this.#probesAtOnce = false;
    const wait = await this.#waitFor(subject);
    return wait > 0 ? { wait } : { sentAt: now(), probes: false };
  }

  /** The upstream's own item says; the host's says whether to read it. */
  async #stopNow(): Promise<UpstreamStop | undefined> {
    if (!this.#host.state.stopped.includes(this.#key)) return undefined;
    await this.#upstream.refresh();
    const { stop } = this.#upstream.state;
    // A crash came between lifting it and saying so.
    if (stop === undefined)
      await this.#host.change((state) => resumedOn(state, this.#key, this.#options.now()));
    return stop;
  }

  /** How long the next request has to wait; 0 where it has used up a place of the slice. */
  async #waitFor(subject: string): Promise<number> {
    const { now, rate, host } = this.#options;
    const perSecond = rateNow(this.#host.state, rate, now());
    if (perSecond === undefined) return Math.max(0, this.#soon(this.#host.state.notBefore - now(), subject));
    let slice = this.#slice;
    if (slice === undefined || this.#used >= slice.count || isOver(slice, now())) {
      const usedUp = slice !== undefined && this.#used >= slice.count;
      this.#span = usedUp ? Math.min(this.#span * 2, LONGEST_SLICE) : FIRST_SLICE;
      const taken = await this.#host.change((state) => {
        // None is taken that begins too late for us: it would be lost for the others.
        this.#soon(Math.max(state.next, state.notBefore) - now(), subject);
        const next = takeSlice(state, rateNow(state, rate, now()) ?? perSecond, now(), this.#span);
        slice = next.slice;
        return next.state;
      });
      if (taken.stopped.includes(this.#key)) return 1;
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
    throw new MirrorError("transient", subject, message, { retryAfter: wait, ofHost: true });
  }

  async #probing(stop: UpstreamStop, subject: string): Promise<Pass> {
    const { now, path, host, report } = this.#options;
    if (!this.#reported) report({ event: "upstream-stopped", host, path, reason: stop.reason });
    this.#reported = true;
    const isTime = this.#probesAtOnce || now() >= stop.probeAt;
    this.#probesAtOnce = false;
    // Of all workers one writes this: the ledger's condition is the lease.
    if (!isTime || !(await this.#upstream.write(probeTaken(this.#upstream.state, now()))))
      throw stoppedError(host, stop, subject);
    this.#probe = Promise.withResolvers();
    return { sentAt: now(), probes: true };
  }

  async #stop(reason: string): Promise<void> {
    const { now, path, host, report } = this.#options;
    // First of all, so that the alarm is raised even where nothing can be written.
    if (!this.#reported) report({ event: "upstream-stopped", host, path, reason });
    this.#reported = true;
    await this.#readAnew();
    await this.#upstream.change((state) => stoppedFor(state, reason, now()));
    await this.#host.change((state) => withKey(state, "stopped", this.#key));
  }

  /** Both items are as this process has just read and written them: it has taken the probe. */
  async #resume(): Promise<void> {
    const keeps = this.#isGoodNew;
    this.#isGoodNew = false;
    await this.#upstream.change((state) => resumed(state, keeps));
    await this.#host.change((state) => resumedOn(state, this.#key, this.#options.now(), keeps));
    this.#reported = false;
  }

  /** What others have lifted or noted meanwhile must not pass for what is: these changes are rare. */
  async #readAnew(): Promise<void> {
    await Promise.all([this.#host.read(), this.#upstream.read()]);
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
export function stoppedError(host: string, { reason }: UpstreamStop, subject: string): MirrorError {
  const message = `${subject}: ${host} is not asked, since it refused us: ${reason}`;
  return new MirrorError("stopped", subject, message);
}
