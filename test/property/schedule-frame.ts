import fc from "fast-check";
import type { Trouble } from "../mirror/crashing-ports.ts";

/** What goes wrong with one call of an act. @param last the last call that it may hit. */
export function troubleUpTo(last: number): fc.Arbitrary<Trouble> {
  return fc.record({
    at: fc.oneof(fc.nat(12), fc.nat(60), fc.nat(last)),
    kind: fc.constantFrom("die" as const, "die" as const, "fail" as const),
    applied: fc.boolean(),
  });
}

/** One of these actions, as often as `weight` says. */
export function weighed<Action extends string>(weight: number, ...actions: [Action, ...Action[]]) {
  return { weight, arbitrary: fc.constantFrom(...actions) };
}

/** No trouble, or one or two, as often as the weights say. */
export function troubles(
  trouble: fc.Arbitrary<Trouble>,
  { none, some }: { readonly none: number; readonly some: number },
): fc.Arbitrary<Trouble[]> {
  return fc.oneof(
    { weight: none, arbitrary: fc.constant<Trouble[]>([]) },
    { weight: some, arbitrary: fc.array(trouble, { minLength: 1, maxLength: 2 }) },
  );
}

/** A schedule, some acts at a time, and the seed of what else is left to chance in it. @param story some steps in a row. */
export function scheduleOf<Act>(
  act: fc.Arbitrary<Act>,
  steps: { readonly minLength: number; readonly maxLength: number },
  story?: fc.Arbitrary<readonly (readonly Act[])[]>,
): fc.Arbitrary<{ readonly steps: readonly (readonly Act[])[]; readonly seed: number }> {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.array(act, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(act, { minLength: 2, maxLength: 3, size: "max" }) },
  );
  const seed = fc.nat(1_000_000);
  if (story === undefined) return fc.record({ steps: fc.array(step, { ...steps, size: "max" }), seed });
  const part = fc.oneof(
    { weight: 7, arbitrary: step.map((acts) => [acts]) },
    { weight: 1, arbitrary: story },
  );
  return fc.record({ steps: fc.array(part, { ...steps, size: "max" }).map((parts) => parts.flat()), seed });
}
