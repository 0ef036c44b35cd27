import { readFigures } from "./figures.ts";
import { METRICS_TYPE, printMetrics } from "./metrics-text.ts";
import type { Clock } from "./ports.ts";
import { NAMED_STATES, readStatus, type StatusParts, VERSIONS_NAMED } from "./status.ts";
import { printStatus } from "./status-json.ts";

/** What is told of the mirror itself, below `/-/`: no module path begins with a hyphen. */
export interface OwnPages {
  status(): Promise<string>;
  metrics(): Promise<string>;
}

/** Nobody needs it newer, and anybody may ask: a status that is so young is told again, in ms. */
const FRESH = 30_000;

/**
 * The pages over a ledger. Each is made once in FRESH at most, however many ask at once: what they cost does not grow with
 * those who ask.
 * @param counters what this process has counted, in Prometheus's text format.
 */
export function ownPages(
  partsOf: () => Promise<StatusParts>,
  now: Clock,
  counters: () => Promise<string> = async () => "",
): OwnPages {
  const status = kept(now, async () => {
    const all = await readStatus(await partsOf(), { states: NAMED_STATES, limit: VERSIONS_NAMED });
    return `${printStatus(all)}\n`;
  });
  const gauges = kept(now, async () => printMetrics(await readFigures(await partsOf())));
  return { status, metrics: async () => `${await gauges()}${await counters()}` };
}

export const STATUS_TYPE = "application/json";
export { METRICS_TYPE };

/** One that fails is not kept: the next who asks tries again. */
function kept(now: Clock, make: () => Promise<string>): () => Promise<string> {
  let last: { readonly at: number; readonly page: Promise<string> } | undefined;
  return async () => {
    if (last !== undefined && Math.abs(now() - last.at) < FRESH) return await last.page;
    const made = { at: now(), page: make() };
    last = made;
    try {
      return await made.page;
    } catch (error) {
      if (last === made) last = undefined;
      throw error;
    }
  };
}
