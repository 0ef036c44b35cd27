import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Deadline } from "./deadline.ts";
import type { MirrorParts } from "./parts.ts";

const NAME = "blocks";
/** Who dies with it keeps the others waiting for so long, in ms. */
const BLOCK_LEASE = 120_000;
const LEASE_POLL = 500;

/**
 * Finishing what is blocked and giving back what is unblocked, one at a time: else the one deletes a zip that it has read
 * as blocked, and the other has given back since. What is decided must be read inside of it.
 * @param work ends before the lease does, by the deadline that it is given; what it leaves is the next one's.
 * @param patience how long to wait for it, in ms.
 * @returns undefined where another has it.
 */
export async function underBlockLease<T>(
  { ledger, now }: Pick<MirrorParts, "ledger" | "now">,
  deadline: Deadline,
  work: (deadline: Deadline) => Promise<T>,
  patience = 0,
): Promise<T | undefined> {
  // A lease is renewed by whoever bears its owner's name: each call has one of its own.
  const holder = randomUUID();
  const giveUp = now() + patience;
  let until = now() + BLOCK_LEASE;
  while (!(await ledger.takeLease(NAME, holder, now(), until))) {
    if (now() >= giveUp) return undefined;
    await sleep(LEASE_POLL);
    until = now() + BLOCK_LEASE;
  }
  try {
    return await work({ remaining: () => Math.min(deadline.remaining(), until - now()) });
  } finally {
    await ledger.releaseLease(NAME, holder);
  }
}
