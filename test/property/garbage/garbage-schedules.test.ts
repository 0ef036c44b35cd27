import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { seed } from "../../differential/seed.ts";
import { describeOutcome, runSchedules } from "../child-run.ts";
import { GARBAGE_CHILD, GARBAGE_MUTANTS } from "./garbage-mutants.ts";

/** In each run of the suite; `npm run test:property` runs 1,000. */
const SCHEDULES = 60;
/** A mutant that is put in has so many to show itself. */
const FOR_A_MUTANT = 150;

test(`whatever is requested, dropped, pinned, killed or hangs while garbage is collected: what something refers to is there, what lists name can be used, and in the end nothing else is left (${SCHEDULES} schedules)`, async () => {
  const outcome = await runSchedules({ seed, schedules: SCHEDULES, child: GARBAGE_CHILD });
  console.log(describeOutcome(outcome));
  expect(outcome.broken).toBeUndefined();
  expect(outcome.schedules).toBe(SCHEDULES);
  for (const what of ["versions collected", "versions spared", "hung", "snapshot taken", "drop"])
    expect(outcome.tally[what]).toBeGreaterThan(SCHEDULES / 5);
}, 600_000);

describe("a bug put into garbage collection is caught", () => {
  test.each(GARBAGE_MUTANTS.filter(({ isQuick }) => isQuick))(
    "$name",
    async (mutant) => {
      const { broken } = await runSchedules({
        seed: 1,
        schedules: FOR_A_MUTANT,
        mutant,
        child: GARBAGE_CHILD,
      });
      expect(broken).toBeDefined();
    },
    600_000,
  );

  test.each(GARBAGE_MUTANTS)("and its place is there: $name", ({ file, find }) => {
    const source = readFileSync(join(import.meta.dirname, "../../..", file), "utf8");
    expect(source.split(find)).toHaveLength(2);
  });
});
