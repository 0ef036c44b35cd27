import type { MirrorParts } from "./parts.ts";

/** A tick's lease, in ms: just above the 300 s that a function may run, so that a killed tick holds up one other. */
export const TICK_LEASE = 330_000;

/**
 * Does a tick's work unless another tick of this name is at it.
 * @param work is given what keeps the lease while it goes on: false when it has run out and another has it.
 * @returns undefined where another tick is at work.
 */
export async function underLease<T>(
  { ledger, now }: Pick<MirrorParts, "ledger" | "now">,
  name: string,
  owner: string,
  work: (keep: () => Promise<boolean>) => Promise<T>,
): Promise<T | undefined> {
  let taken = now();
  if (!(await ledger.takeLease(name, owner, taken, taken + TICK_LEASE))) return undefined;
  const keep = async (): Promise<boolean> => {
    const at = now();
    // A tick is over long before, as a rule: then this costs nothing.
    if (at < taken + TICK_LEASE / 3) return true;
    if (!(await ledger.takeLease(name, owner, at, at + TICK_LEASE))) return false;
    taken = at;
    return true;
  };
  try {
    return await work(keep);
  } finally {
    await ledger.releaseLease(name, owner);
  }
}
