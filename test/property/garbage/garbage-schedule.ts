import fc from "fast-check";
import type { Trouble } from "../../mirror/crashing-ports.ts";

/** What may happen to a mirror that collects its garbage. */
export const ACTIONS = [
  "hand in",
  "drop",
  "work",
  "tick",
  "reconcile",
  "collect",
  "snapshot",
  "pin",
  "unpin",
  "subscribe",
  "upstream fault",
  "wait",
] as const;
export type Action = (typeof ACTIONS)[number];

export interface Act {
  readonly action: Action;
  /** Which request, order, snapshot, fault; how long. */
  readonly pick: number;
  readonly process: number;
  /** Whether the queue hands an order out once more. */
  readonly twice: boolean;
  readonly troubles: readonly Trouble[];
  /** At which of its calls the process hangs for some steps; undefined where it does not. */
  readonly stall: number | undefined;
}
export type Step = readonly Act[];

const trouble: fc.Arbitrary<Trouble> = fc.record({
  at: fc.oneof(fc.nat(12), fc.nat(60), fc.nat(250)),
  kind: fc.constantFrom("die" as const, "die" as const, "fail" as const),
  applied: fc.boolean(),
});

const weighed = (weight: number, ...actions: [Action, ...Action[]]) => ({
  weight,
  arbitrary: fc.constantFrom(...actions),
});

const act: fc.Arbitrary<Act> = fc.record({
  action: fc.oneof(
    weighed(14, "work"),
    weighed(5, "hand in"),
    weighed(3, "drop"),
    weighed(2, "tick"),
    weighed(3, "reconcile"),
    weighed(12, "collect"),
    weighed(2, "snapshot"),
    weighed(1, "pin", "unpin", "subscribe", "upstream fault"),
    weighed(9, "wait"),
  ),
  pick: fc.nat(63),
  process: fc.nat(2),
  twice: fc.boolean(),
  troubles: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Trouble[]>([]) },
    { weight: 2, arbitrary: fc.array(trouble, { minLength: 1, maxLength: 2 }) },
  ),
  stall: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.oneof(fc.nat(20), fc.nat(120)) },
  ),
});

/** A schedule, and the seed of what else is left to chance in it. */
export const schedule: fc.Arbitrary<{ readonly steps: readonly Step[]; readonly seed: number }> = fc.record({
  steps: fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.array(act, { minLength: 1, maxLength: 1 }) },
      { weight: 2, arbitrary: fc.array(act, { minLength: 2, maxLength: 3, size: "max" }) },
    ),
    { minLength: 8, maxLength: 45, size: "max" },
  ),
  seed: fc.nat(1_000_000),
});
