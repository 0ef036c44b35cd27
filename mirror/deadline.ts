/** Says how long a unit of work may go on; what it does not reach stays due. */
export interface Deadline {
  /** Milliseconds left; Infinity on a desk. */
  remaining(): number;
}

export const noDeadline: Deadline = { remaining: () => Number.POSITIVE_INFINITY };

/** A unit of work stops taking on files when this much of its time is left, in ms: enough to write down where it is. */
export const TIME_TO_CLOSE = 20_000;
