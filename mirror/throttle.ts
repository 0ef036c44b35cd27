import { sha256Of } from "./body.ts";
import { firstBytes } from "./first-bytes.ts";

/** What all workers know of one host that we fetch from; times in ms since the epoch. */
export interface HostState {
  /** When the next slice of the rate begins: all before it is taken. */
  readonly next: number;
  /** The host asked us to wait until then. */
  readonly notBefore: number;
  /** How much of its rate is used since it pushed back: above 0, at most 1. */
  readonly share: number;
  /** When that was noted. */
  readonly shareAt: number;
  /** By `stopKey`; empty for an upstream at the host's root. */
  readonly stopped: Readonly<Record<string, UpstreamStop>>;
}

/** An upstream that refuses everything, or our credentials. */
export interface UpstreamStop {
  readonly at: number;
  /** One line without secrets, at most REASON_BYTES. */
  readonly reason: string;
  /** When one request may try whether it still does. */
  readonly probeAt: number;
}

/** So many requests, the first at `from`, one each `interval` ms. */
export interface Slice {
  readonly from: number;
  readonly count: number;
  readonly interval: number;
}

/** A host that pushes back and has no rate of its own is asked this often a second at first, halved once. */
const ASSUMED_RATE = 200;
/**
 * Halving shows in the replies only after a while, and one file may be refused again and again where the rest is served:
 * so long nothing is halved again, in ms.
 */
const SETTLING = 15_000;
/** No host is asked more rarely than with this part of its rate: it would never be seen to have recovered. */
const LEAST_SHARE = 1 / 256;
/** What was halved doubles in this time, in ms, when nothing pushes back any more. */
const RECOVERY = 120_000;
/** The longest a host may have all workers wait: it may be hostile, or its clock wrong. In ms. */
const LONGEST_NOT_BEFORE = 3_600_000;
/** A stopped upstream is tried again this often, in ms. */
export const PROBE_EVERY = 300_000;
/** A reason in the ledger. With the two below all fits into an item, escapes included (LARGEST_ITEM). */
const REASON_BYTES = 160;
/** Upstreams on one host of which stops are kept; the oldest gives way. */
const MOST_STOPS = 3;
/** A longer path is kept by its SHA-256. */
const LONGEST_PATH = 100;

const FRESH: HostState = { next: 0, notBefore: 0, share: 1, shareAt: 0, stopped: {} };

/** What an upstream's stop is kept under, by the path below which it lies on its host. */
export function stopKey(path: string): string {
  return Buffer.byteLength(path) <= LONGEST_PATH ? path : `sha256:${sha256Of(Buffer.from(path))}`;
}

/** Reads a ledger's item; what is not there, or is no number, is as if the host had never been seen. */
export function parseHostState(value: Readonly<Record<string, unknown>> | undefined): HostState {
  if (value === undefined) return FRESH;
  const number = (name: "next" | "notBefore" | "share" | "shareAt") => {
    const found = value[name];
    return typeof found === "number" && Number.isFinite(found) && found >= 0 ? found : FRESH[name];
  };
  const share = number("share");
  return {
    next: number("next"),
    notBefore: number("notBefore"),
    share: share > 0 && share <= 1 ? share : 1,
    shareAt: number("shareAt"),
    stopped: parseStops(value.stopped),
  };
}

function parseStops(value: unknown): Record<string, UpstreamStop> {
  if (typeof value !== "object" || value === null) return {};
  const stops: Record<string, UpstreamStop> = {};
  for (const [path, stop] of Object.entries(value as Record<string, Partial<UpstreamStop> | null>)) {
    const { at, reason, probeAt } = stop ?? {};
    if (typeof at !== "number" || typeof reason !== "string" || typeof probeAt !== "number") continue;
    stops[path] = { at, reason, probeAt };
  }
  return stops;
}

/** As a ledger's item holds it. */
export function hostValue({ stopped, ...numbers }: HostState): Readonly<Record<string, unknown>> {
  return { ...numbers, ...(Object.keys(stopped).length === 0 ? {} : { stopped }) };
}

/**
 * How many requests a second all workers together may send now; undefined where nothing limits them.
 * @param rate the configured one.
 */
export function rateNow(state: HostState, rate: number | undefined, now: number): number | undefined {
  const share = shareNow(state, now);
  if (rate === undefined && share === 1) return undefined;
  return (rate ?? ASSUMED_RATE) * share;
}

function shareNow({ share, shareAt }: HostState, now: number): number {
  return Math.min(1, share * 2 ** (Math.max(0, now - shareAt) / RECOVERY));
}

/** Takes the next `span` ms of the rate for one worker: one request at least. */
export function takeSlice(
  state: HostState,
  rate: number,
  now: number,
  span: number,
): { readonly state: HostState; readonly slice: Slice } {
  const interval = 1000 / rate;
  const count = Math.max(1, Math.floor(span / interval));
  const from = Math.max(now, state.next, state.notBefore);
  return { state: { ...state, next: from + count * interval }, slice: { from, count, interval } };
}

/**
 * The host said that it is asked too much (429, 503): half as much from now on, and nothing before what it asked for.
 * Replies to requests that were sent before the last halving, or soon after it, say nothing new: one burst halves once.
 * @param wait what it asked for (Retry-After), in ms.
 * @returns the same object where nothing changes.
 */
export function pushedBack(
  state: HostState,
  sentAt: number,
  now: number,
  wait: number | undefined,
): HostState {
  const notBefore = Math.max(state.notBefore, now + Math.min(wait ?? 0, LONGEST_NOT_BEFORE));
  const waits = wait !== undefined && notBefore > state.notBefore ? { notBefore } : {};
  if (state.shareAt > 0 && sentAt <= state.shareAt + SETTLING)
    return Object.keys(waits).length === 0 ? state : { ...state, ...waits };
  const share = Math.max(LEAST_SHARE, shareNow(state, now) / 2);
  // Slices that were taken at the faster rate are used up; none begins before now.
  return { ...state, ...waits, share, shareAt: now };
}

/** @returns the same object where it is stopped already. */
export function stoppedFor(state: HostState, path: string, reason: string, now: number): HostState {
  if (state.stopped[path] !== undefined) return state;
  const stop = { at: now, reason: firstBytes(reason, REASON_BYTES), probeAt: now + PROBE_EVERY };
  const others = Object.entries(state.stopped)
    .sort(([, one], [, other]) => other.at - one.at)
    .slice(0, MOST_STOPS - 1);
  return { ...state, stopped: Object.fromEntries([...others, [path, stop]]) };
}

/** Only one worker's write of this succeeds: that one may try. */
export function probeTaken(state: HostState, path: string, now: number): HostState {
  const stop = state.stopped[path];
  if (stop === undefined) return state;
  return { ...state, stopped: { ...state.stopped, [path]: { ...stop, probeAt: now + PROBE_EVERY } } };
}

/** @returns the same object where it is not stopped. */
export function resumed(state: HostState, path: string): HostState {
  if (state.stopped[path] === undefined) return state;
  const { [path]: _lifted, ...stopped } = state.stopped;
  return { ...state, stopped };
}
