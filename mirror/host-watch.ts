import { setTimeout as delay } from "node:timers/promises";
import { MirrorError } from "./errors.ts";
import type { Clock, Ledger } from "./ports.ts";
import { REFRESH } from "./shared-item.ts";
import { type HostState, parseHostState, rateNow } from "./throttle.ts";
import { type Outcome, type Pass, type RequestGate, stoppedError } from "./upstream-gate.ts";
import {
  type KnownGood,
  PROBE_EVERY,
  parseUpstreamState,
  type UpstreamStop,
  upstreamItemName,
  upstreamKey,
} from "./upstream-state.ts";

export interface HostWatchOptions {
  readonly ledger: Pick<Ledger, "readItem">;
  /** `name` or `name:port`. */
  readonly host: string;
  /** The path below which the upstream lies, without a slash at its end. */
  readonly path: string;
  /** Requests a second by all workers together; absent: as many as the host takes. */
  readonly rate?: number;
  readonly now: Clock;
  readonly sleep?: (milliseconds: number) => Promise<unknown>;
}

/** A client waits: what cannot be sent this soon is not sent, in ms. */
const PATIENCE = 1_000;
/** What a host that answers nothing, or asks for no certain wait, is left alone for, in ms. */
const PAUSE = 30_000;

/**
 * The gate of a process that serves and so may write nothing: it heeds what the workers have noted of a host, which costs
 * a read of the ledger in ten seconds at most, and only while something is asked of that host; and what the host answers
 * itself, for itself. What it sends comes on top of the workers' rate, no faster than that.
 */
export class HostWatch implements RequestGate {
  readonly #options: HostWatchOptions;
  readonly #key: string;
  #host: HostState = parseHostState(undefined);
  #stop: UpstreamStop | undefined;
  #read: { readonly at: number; readonly done: Promise<void> } | undefined;
  /** What it has answered to this process. */
  #notBefore = 0;
  #refused: UpstreamStop | undefined;
  #nextAt = 0;

  constructor(options: HostWatchOptions) {
    this.#options = options;
    this.#key = upstreamKey(options.path);
  }

  async enter(subject: string): Promise<Pass> {
    const { now, host, rate, sleep = delay } = this.#options;
    await this.#refresh();
    const own = this.#refused !== undefined && now() < this.#refused.probeAt ? this.#refused : undefined;
    const stop = this.#stop ?? own;
    if (stop !== undefined) throw stoppedError(host, stop, subject);
    const perSecond = rateNow(this.#host, rate, now());
    const at = Math.max(this.#host.notBefore, this.#notBefore, perSecond === undefined ? 0 : this.#nextAt);
    const wait = at - now();
    if (wait > PATIENCE) {
      const message = `${subject}: ${host} is not asked for ${Math.ceil(wait / 1000)} s more; try again then`;
      throw new MirrorError("transient", subject, message, { retryAfter: wait, ofHost: true });
    }
    if (perSecond !== undefined) this.#nextAt = Math.max(at, now()) + 1000 / perSecond;
    if (wait > 0) await sleep(wait);
    return { sentAt: now(), probes: false };
  }

  async note(_pass: Pass, outcome: Outcome): Promise<void> {
    const now = this.#options.now();
    if (outcome.is === "pushed back")
      this.#notBefore = Math.max(this.#notBefore, now + (outcome.wait ?? PAUSE));
    else if (outcome.is === "refused")
      this.#refused = { at: now, reason: outcome.reason, probeAt: now + PROBE_EVERY };
    else if (outcome.is === "served") this.#refused = undefined;
  }

  async noteDown(): Promise<void> {
    this.#notBefore = Math.max(this.#notBefore, this.#options.now() + PAUSE);
  }

  async knownGood(): Promise<KnownGood | undefined> {
    const { ledger, host, path } = this.#options;
    if (!this.#host.known.includes(this.#key)) return undefined;
    return parseUpstreamState((await ledger.readItem("upstream", upstreamItemName(host, path)))?.value).good;
  }

  /** The workers do. */
  async noteGood(): Promise<void> {}

  async noteRefused(): Promise<boolean> {
    return false;
  }

  #refresh(): Promise<void> {
    const { now } = this.#options;
    if (this.#read === undefined || now() - this.#read.at > REFRESH) {
      const done = this.#readItems();
      this.#read = { at: now(), done };
      done.catch(() => {
        this.#read = undefined;
      });
    }
    return this.#read.done;
  }

  async #readItems(): Promise<void> {
    const { ledger, host, path } = this.#options;
    this.#host = parseHostState((await ledger.readItem("upstream", host))?.value);
    const isStopped = this.#host.stopped.includes(this.#key);
    const item = isStopped ? await ledger.readItem("upstream", upstreamItemName(host, path)) : undefined;
    this.#stop = parseUpstreamState(item?.value).stop;
  }
}
