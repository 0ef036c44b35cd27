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
  /** Since when it answers nobody; 0: it does. */
  readonly downSince: number;
  /** When it answered again after an outage whose versions nobody has revived yet; 0: there is none. */
  readonly recovered: number;
  /** Keys (upstream-state.ts) of those of its upstreams that are stopped, the newest last. */
  readonly stopped: readonly string[];
  /** Keys of those of which a file is noted that they serve. */
  readonly known: readonly string[];
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
/**
 * What was halved doubles in this time, in ms, when nothing pushes back any more: well below a host's usual spell of
 * trouble, so that one short spell after the other never adds up to a standstill.
 */
const RECOVERY = 30_000;
/** The longest a host may have all workers wait: it may be hostile, or its clock wrong. In ms. */
const LONGEST_NOT_BEFORE = 3_600_000;
/** After an outage of this many ms what failed in it waits for longer than it should, and is revived. */
export const LONG_OUTAGE = 600_000;
/** Keys of each kind in a host's item, whose size they bound with LARGEST_ITEM; above it the oldest gives way. */
const MOST_KEYS = 60;

const FRESH: HostState = {
  next: 0,
  notBefore: 0,
  share: 1,
  shareAt: 0,
  downSince: 0,
  recovered: 0,
  stopped: [],
  known: [],
};

/** Reads a ledger's item; what is not there, or is no number, is as if the host had never been seen. */
export function parseHostState(value: Readonly<Record<string, unknown>> | undefined): HostState {
  if (value === undefined) return FRESH;
  const number = (name: "next" | "notBefore" | "share" | "shareAt" | "downSince" | "recovered") => {
    const found = value[name];
    return typeof found === "number" && Number.isFinite(found) && found >= 0 ? found : FRESH[name];
  };
  const keys = (name: "stopped" | "known") => {
    const found: unknown = value[name];
    return Array.isArray(found) ? found.filter((key) => typeof key === "string").slice(-MOST_KEYS) : [];
  };
  const share = number("share");
  return {
    next: number("next"),
    notBefore: number("notBefore"),
    share: share > 0 && share <= 1 ? share : 1,
    shareAt: number("shareAt"),
    downSince: number("downSince"),
    recovered: number("recovered"),
    stopped: keys("stopped"),
    known: keys("known"),
  };
}

/** As a ledger's item holds it; what is as of a host that was never seen is left out. */
export function hostValue(state: HostState): Readonly<Record<string, unknown>> {
  const { stopped, known, downSince, recovered, ...numbers } = state;
  return {
    ...numbers,
    ...(downSince === 0 ? {} : { downSince }),
    ...(recovered === 0 ? {} : { recovered }),
    ...(stopped.length === 0 ? {} : { stopped }),
    ...(known.length === 0 ? {} : { known }),
  };
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

/** @returns the same object where nothing changes. */
export function withKey(state: HostState, list: "stopped" | "known", key: string): HostState {
  if (state[list].includes(key)) return state;
  return { ...state, [list]: [...state[list], key].slice(-MOST_KEYS) };
}

/** @returns the same object where nothing changes. */
export function withoutKey(state: HostState, list: "stopped" | "known", key: string): HostState {
  if (!state[list].includes(key)) return state;
  return { ...state, [list]: state[list].filter((one) => one !== key) };
}

/** It answers nobody. @returns the same object where that is known. */
export function down(state: HostState, now: number): HostState {
  return state.downSince > 0 ? state : { ...state, downSince: now };
}

/** It answers. @returns the same object where it did before. */
export function answering(state: HostState, now: number): HostState {
  if (state.downSince === 0) return state;
  const wasLong = now - state.downSince >= LONG_OUTAGE;
  return { ...state, downSince: 0, recovered: wasLong ? now : state.recovered };
}

/** An upstream of it goes on: what waited for that is tried again, as after an outage. */
export function resumedOn(state: HostState, key: string, now: number, keepsGood = false): HostState {
  const going = withoutKey(state, "stopped", key);
  if (going === state) return state;
  return { ...(keepsGood ? going : withoutKey(going, "known", key)), recovered: now };
}
