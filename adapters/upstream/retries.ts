import { setTimeout as delay } from "node:timers/promises";
import { MirrorError } from "../../mirror/errors.ts";

/** Waits before the second, third and fourth try, in milliseconds (docs/architecture.md, Errors). */
export const RETRY_WAITS: readonly number[] = [1_000, 3_000, 9_000];
/** A wait is up to this part of itself longer, so that many workers do not come back at the same moment. */
const JITTER = 0.25;
/** A longer Retry-After is not waited for here: the order becomes due again then, and the worker does other work. */
export const LONGEST_WAIT = 30_000;
/** No try begins later than this after the first one, so that hanging replies cannot add up to hours. */
const RETRY_SPAN = 150_000;

/** What a retry needs of the world; tests give their own. */
export interface RetryTools {
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** Rejects when the work is stopped. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<unknown>;
  /** 0 ≤ random < 1 */
  readonly random: () => number;
}

export const systemTools: RetryTools = {
  clock: Date.now,
  sleep: (milliseconds, signal) => delay(milliseconds, undefined, signal === undefined ? {} : { signal }),
  random: Math.random,
};

/**
 * Tries `attempt` up to four times: again only after a MirrorError transient, after 1, 3 and 9 s with jitter, or what
 * the other side asked for (Retry-After) if that is longer but not above LONGEST_WAIT.
 * @param worth whether one more try is; asked after each that failed.
 * @throws MirrorError of the last try.
 */
export async function withRetries<T>(
  attempt: (tries: number) => Promise<T>,
  tools: RetryTools = systemTools,
  signal?: AbortSignal,
  worth: (error: MirrorError) => boolean = () => true,
): Promise<T> {
  const startedAt = tools.clock();
  for (let tries = 0; ; tries++) {
    try {
      return await attempt(tries);
    } catch (error) {
      const wait = RETRY_WAITS[tries];
      if (!(error instanceof MirrorError) || error.class !== "transient") throw error;
      if (wait === undefined || signal?.aborted || !worth(error)) throw error;
      const asked = error.retryAfter ?? 0;
      if (asked > LONGEST_WAIT) throw error;
      const pause = Math.max(wait * (1 + JITTER * tools.random()), asked);
      if (tools.clock() + pause - startedAt > RETRY_SPAN) throw error;
      try {
        await tools.sleep(pause, signal);
      } catch {
        throw error;
      }
    }
  }
}

/** A hostile server may name any time: more than a day is as good as a day. */
const LONGEST_RETRY_AFTER = 24 * 3600 * 1000;

/**
 * Reads a Retry-After header: seconds, or an HTTP date (RFC 9110, 10.2.3). Attacker-controlled.
 * @returns milliseconds from `now`, 0 to a day; undefined when there is none that can be read.
 */
export function parseRetryAfter(header: unknown, now: number): number | undefined {
  if (typeof header !== "string" || header.length > 64) return undefined;
  const text = header.trim();
  // Every HTTP date begins with a day's name; Date.parse alone would take "1.5" for a day in January.
  const isDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text);
  const wait = /^[0-9]+$/.test(text) ? Number(text) * 1000 : isDate ? Date.parse(text) - now : Number.NaN;
  if (Number.isNaN(wait)) return undefined;
  return Math.min(Math.max(wait, 0), LONGEST_RETRY_AFTER);
}
