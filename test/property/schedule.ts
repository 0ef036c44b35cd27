import fc from "fast-check";
import type { Trouble } from "../mirror/crashing-ports.ts";

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

const trouble: fc.Arbitrary<Trouble> = fc.record({
  at: fc.oneof(fc.nat(12), fc.nat(60), fc.nat(150)),
  kind: fc.constantFrom("die" as const, "die" as const, "fail" as const),
  applied: fc.boolean(),
});

const weighed = (weight: number, ...actions: [Action, ...Action[]]) => ({
  weight,
  arbitrary: fc.constantFrom(...actions),
});

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
  troubles: fc.oneof(
    { weight: 2, arbitrary: fc.constant<Trouble[]>([]) },
    { weight: 3, arbitrary: fc.array(trouble, { minLength: 1, maxLength: 2 }) },
  ),
});

/** A schedule, and the seed of what else is left to chance in it. */
export const schedule: fc.Arbitrary<{ readonly steps: readonly Step[]; readonly seed: number }> = fc.record({
  steps: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.array(act, { minLength: 1, maxLength: 1 }) },
      { weight: 2, arbitrary: fc.array(act, { minLength: 2, maxLength: 3, size: "max" }) },
    ),
    { minLength: 4, maxLength: 30, size: "max" },
  ),
  seed: fc.nat(1_000_000),
});
