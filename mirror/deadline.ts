/** Says how long a unit of work may go on; what it does not reach stays due. */
export interface Deadline {
  /** Milliseconds left; Infinity on a desk. */
  remaining(): number;
}

export const noDeadline: Deadline = { remaining: () => Number.POSITIVE_INFINITY };

/** A unit of work stops taking on files when this much of its time is left, in ms: enough to write down where it is. */
export const TIME_TO_CLOSE = 20_000;

/**
 * A part of what is left until then, for the first of several things that share it: at its end nothing more is begun, and
 * what it leaves is the others'.
 * @param part above 0, at most 1.
 */
export function partOf(deadline: Deadline, part: number): Deadline {
  const left = deadline.remaining();
  if (!Number.isFinite(left)) return deadline;
  const others = Math.max(0, left - TIME_TO_CLOSE) * (1 - part);
  return { remaining: () => deadline.remaining() - others };
}
