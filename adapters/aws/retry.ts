import { setTimeout as sleep } from "node:timers/promises";

/** Tries of our own, on top of the SDK's, for what the SDK does not retry; the first included. */
export const TRIES = 8;
const FIRST_PAUSE = 25;
const LONGEST_PAUSE = 2_000;

/**
 * Waits before try number `attempt` + 1: at random up to 25 ms, doubled with each attempt, so that workers that met
 * on one key do not meet again (AWS Architecture Blog, Exponential Backoff And Jitter: full jitter).
 */
export async function pause(attempt: number): Promise<void> {
  await sleep(Math.random() * Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE));
}
