import { sha256Of } from "./body.ts";
import { firstBytes } from "./first-bytes.ts";

/** What all workers know of one upstream: an item of its own, beside that of its host (throttle.ts). */
export interface UpstreamState {
  readonly stop: UpstreamStop | undefined;
  /** A file that it has served: whether it refuses one thing or everything shows in what it answers to this. */
  readonly good: KnownGood | undefined;
  /** Digests of what it refused while nothing was known that it serves: of different modules, at most REFUSES_ALL. */
  readonly refused: readonly string[];
}

/** An upstream that refuses everything, or our credentials. Times in ms since the epoch. */
export interface UpstreamStop {
  readonly at: number;
  /** One line without secrets, at most REASON_BYTES. */
  readonly reason: string;
  /** When one request may try whether it still does. */
  readonly probeAt: number;
}

/** A path that the upstream has answered well. */
export interface KnownGood {
  /** Module path, or the checksum database's name: a refusal is best judged by what another one answers. */
  readonly about: string;
  /** Below the upstream's address, escaped, without a slash in front. */
  readonly path: string;
}

/** A stopped upstream is tried again this often, in ms. */
export const PROBE_EVERY = 300_000;
/**
 * An upstream of which nothing is known that it serves refuses everything, as far as anybody can tell, once it has refused
 * so many different modules: one alone may be withheld.
 */
export const REFUSES_ALL = 3;
/** With the next two all fits into an item, escapes included (LARGEST_ITEM). */
const REASON_BYTES = 160;
const LONGEST_GOOD = 900;
/** A longer path is kept by its SHA-256. */
const LONGEST_PATH = 100;

/** What an upstream's stop is told by, by the path below which it lies on its host. */
export function shownPath(path: string): string {
  return Buffer.byteLength(path) <= LONGEST_PATH ? path : `#sha256:${sha256Of(Buffer.from(path))}`;
}

/** In the lists of its host's item: eight digits, since two upstreams of one host never meet there by chance. */
export function upstreamKey(path: string): string {
  return digest(shownPath(path));
}

/** The item's name. A host has no slash, so that no upstream's is a host's. */
export function upstreamItemName(host: string, path: string): string {
  const shown = shownPath(path);
  return `${host}${/^[/#]/.test(shown) ? shown : `/${shown}`}`;
}

/** Host and path of an item of kind `upstream`; `path` is undefined for the host's own. */
export function parseItemName(name: string): { readonly host: string; readonly path: string | undefined } {
  const at = name.search(/[/#]/);
  if (at < 0) return { host: name, path: undefined };
  const path = name.slice(at);
  return { host: name.slice(0, at), path: path === "/" ? "" : path };
}

/** Reads a ledger's item; what is not there, or is none of ours, is as if the upstream had never been seen. */
export function parseUpstreamState(value: Readonly<Record<string, unknown>> | undefined): UpstreamState {
  const { stop, good, refused } = value ?? {};
  return {
    stop: parseStop(stop),
    good: parseGood(good),
    refused: Array.isArray(refused) ? refused.filter((one) => typeof one === "string") : [],
  };
}

function parseStop(value: unknown): UpstreamStop | undefined {
  const { at, reason, probeAt } = (value ?? {}) as Partial<UpstreamStop>;
  if (typeof at !== "number" || typeof reason !== "string" || typeof probeAt !== "number") return undefined;
  return { at, reason, probeAt };
}

function parseGood(value: unknown): KnownGood | undefined {
  const { about, path } = (value ?? {}) as Partial<KnownGood>;
  return typeof about === "string" && typeof path === "string" ? { about, path } : undefined;
}

/** As a ledger's item holds it. */
export function upstreamValue({ stop, good, refused }: UpstreamState): Readonly<Record<string, unknown>> {
  return {
    ...(stop === undefined ? {} : { stop }),
    ...(good === undefined ? {} : { good }),
    ...(refused.length === 0 ? {} : { refused }),
  };
}

/** @returns the same object where it is stopped already. */
export function stoppedFor(state: UpstreamState, reason: string, now: number): UpstreamState {
  if (state.stop !== undefined) return state;
  return {
    ...state,
    stop: { at: now, reason: firstBytes(reason, REASON_BYTES), probeAt: now + PROBE_EVERY },
  };
}

/** Only one worker's write of this succeeds: that one may try. */
export function probeTaken(state: UpstreamState, now: number): UpstreamState {
  return state.stop === undefined ? state : { ...state, stop: { ...state.stop, probeAt: now + PROBE_EVERY } };
}

/**
 * It serves, or an operator says so.
 * @param keepsGood whether what is known to be served was noted since; else it is forgotten, since it was refused.
 * @returns the same object where it is not stopped.
 */
export function resumed(state: UpstreamState, keepsGood = false): UpstreamState {
  if (state.stop === undefined) return state;
  return { stop: undefined, good: keepsGood ? state.good : undefined, refused: [] };
}

/** It has served this. @returns the same object where something is known already, or this is too long to be kept. */
export function servedOne(state: UpstreamState, { about, path }: KnownGood): UpstreamState {
  const good = { about, path };
  const isShort = Buffer.byteLength(JSON.stringify(good)) <= LONGEST_GOOD;
  const kept = state.good ?? (isShort ? good : undefined);
  if (kept === state.good && state.refused.length === 0) return state;
  return { ...state, good: kept, refused: [] };
}

/** It has refused something of this module, and what was known to be served did not tell whether all. */
export function refusedOne(state: UpstreamState, about: string): UpstreamState {
  const one = digest(about);
  const isKnown = state.refused.includes(one) || state.refused.length >= REFUSES_ALL;
  if (isKnown && state.good === undefined) return state;
  return { ...state, good: undefined, refused: isKnown ? state.refused : [...state.refused, one] };
}

function digest(text: string): string {
  return sha256Of(Buffer.from(text)).slice(0, 8);
}
