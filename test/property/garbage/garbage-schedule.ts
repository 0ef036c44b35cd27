import fc from "fast-check";
import type { Trouble } from "../../mirror/crashing-ports.ts";
import { scheduleOf, troubles, troubleUpTo, weighed } from "../schedule-frame.ts";
import { BODIES } from "./garbage-universe.ts";

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
  troubles: troubles(troubleUpTo(250), { none: 3, some: 2 }),
  stall: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.oneof(fc.nat(20), fc.nat(120)) },
  ),
});

/** An action; which one, where that is not the story's own; and whether its process dies at some call. */
type Told = readonly [Action, (number | undefined)?, "dies"?];

/** What comes one behind the other in a mirror's life, and seldom by chance; each with something else beside it, or not. */
const told = (...steps: readonly Told[]): readonly Told[] => steps;

const STORIES: readonly (readonly Told[])[] = [
  // Handed in, and done.
  told(["hand in"], ["work", 3], ["work", 3], ["work", 3]),
  // Chosen, begun, deleted.
  told(["collect"], ["wait", 4], ["collect"], ["wait", 3], ["collect"]),
  // By hand, one right after the other.
  told(["collect"], ["wait", 4], ["collect"], ["wait", 0], ["collect"]),
  // Wanted again while its files go.
  [
    ...told(["hand in"], ["work", 3], ["work", 3], ["work", 3], ["drop"], ["wait", 6], ["collect"]),
    ...told(["wait", 4], ["collect"], ["wait", 3], ["collect", undefined, "dies"], ["hand in"]),
    ...told(["work", 3], ["work", 3], ["wait", 3], ["collect"]),
  ],
  // Pinned for longer than it would be kept.
  [
    ...told(["snapshot"], ["pin"], ["drop"], ["wait", 9], ["collect"], ["wait", 4], ["collect"]),
    ...told(["wait", 3], ["collect"]),
  ],
  // Dropped within the hour: what it alone has brought is chosen later than the rest.
  [
    ...told(["hand in"], ["work", 3], ["work", 3], ["work", 3], ["drop"], ["collect"], ["wait", 4]),
    ...told(["collect"], ["wait", 5], ["collect"], ["wait", 0], ["collect"]),
  ],
];

const story: fc.Arbitrary<Step[]> = fc
  .record({
    story: fc.constantFrom(...STORIES),
    pick: fc.nat(63),
    acts: fc.array(act, { minLength: 16, maxLength: 16 }),
    beside: fc.array(fc.nat(5), { minLength: 16, maxLength: 16 }),
  })
  .map(({ story: steps, pick, acts, beside }) =>
    steps.map(([action, at, dies], number) => {
      const some = acts[number] as Act;
      // A story drops what it has handed in.
      const chosen = at ?? (action === "drop" ? Math.floor(pick / BODIES.length) : pick);
      const death: Trouble = { at: 2 * some.pick, kind: "die", applied: some.twice };
      const troubles = dies === undefined ? [] : [death];
      const alone = { ...some, action, pick: chosen, troubles, stall: undefined };
      // With its own troubles, with another act at the same time, or as it stands.
      if (beside[number] === 0 && dies === undefined) return [{ ...some, action, pick: chosen }];
      return beside[number] === 1 ? [alone, some] : [alone];
    }),
  );

export const schedule = scheduleOf(act, { minLength: 8, maxLength: 45 }, story);
