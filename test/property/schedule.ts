import fc from "fast-check";
import type { Trouble } from "../mirror/crashing-ports.ts";
import { scheduleOf, troubles, troubleUpTo, weighed } from "./schedule-frame.ts";

/** What may happen to a mirror. */
export const ACTIONS = [
  "hand in",
  "work",
  "tick",
  "reconcile",
  "advance",
  "block",
  "unblock",
  "policy",
  "release",
  "index fault",
  "index shuffle",
  "upstream fault",
  "grow",
  "wait",
] as const;
export type Action = (typeof ACTIONS)[number];

/** One thing that happens, and what goes wrong meanwhile. */
export interface Act {
  readonly action: Action;
  /** Which request, order, block, policy, fault; how long, how many. */
  readonly pick: number;
  /** Which of the processes does it. */
  readonly process: number;
  /** Whether the queue hands an order out once more. */
  readonly twice: boolean;
  readonly troubles: readonly Trouble[];
}

/** What happens at the same time. */
export type Step = readonly Act[];

const act: fc.Arbitrary<Act> = fc.record({
  action: fc.oneof(
    weighed(18, "work"),
    weighed(4, "tick"),
    weighed(3, "hand in"),
    weighed(5, "reconcile"),
    weighed(3, "block"),
    weighed(2, "unblock"),
    weighed(4, "wait"),
    weighed(4, "policy", "release", "advance", "grow"),
    weighed(3, "index fault", "index shuffle", "upstream fault"),
  ),
  pick: fc.nat(63),
  process: fc.nat(2),
  twice: fc.boolean(),
  troubles: troubles(troubleUpTo(150), { none: 2, some: 3 }),
});

export const schedule = scheduleOf(act, { minLength: 4, maxLength: 30 });
