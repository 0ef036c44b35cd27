import { expect, test } from "vitest";
import { seed } from "../differential/seed.ts";
import { describeOutcome, runSchedules } from "./child-run.ts";

/** In each run of the suite; `npm run test:property` runs 10,000. */
const SCHEDULES = 150;

test(`whatever dies, fails, repeats, comes late, is blocked or held back: no reader sees anything wrong, and all ends as if nothing had happened (${SCHEDULES} schedules)`, async () => {
  const outcome = await runSchedules({ seed, schedules: SCHEDULES });
  console.log(describeOutcome(outcome));
  expect(outcome.broken).toBeUndefined();
  expect(outcome.schedules).toBe(SCHEDULES);
  for (const what of [
    "killed before the call",
    "killed after the call",
    "failed after the call",
    "block",
    "tick",
  ])
    expect(outcome.tally[what]).toBeGreaterThan(SCHEDULES / 5);
}, 600_000);
