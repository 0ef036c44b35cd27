import fc from "fast-check";
import type { Outcome } from "../schedules-child.ts";
import { Broken, type Tally } from "../simulation.ts";
import { schedule } from "./garbage-schedule.ts";
import { GarbageSimulation } from "./garbage-simulation.ts";

/** As schedules-child.ts, for schedules of a mirror that collects its garbage. */
const [seed = 1, runs = 100] = process.argv.slice(2, 4).map(Number);
const shrink = process.argv[4] === "shrink";
const path = process.env.MODFERRY_PATH;
const tally: Tally = new Map();
let schedules = 0;
const started = performance.now();
const property = fc.asyncProperty(schedule, async ({ steps, seed: chance }) => {
  const simulation = new GarbageSimulation(chance, tally);
  for (const pick of [chance % 64, (chance * 7) % 64])
    await simulation.step([
      { action: "hand in", pick, process: 0, twice: false, troubles: [], stall: undefined },
    ]);
  for (const step of steps) await simulation.step(step);
  const left = await simulation.settle();
  if (left.length > 0) throw new Broken(left.map((what) => `10: when all has ended: ${what}`));
  await simulation.lookAtEnd();
  schedules++;
});
const details = await fc.check(property, {
  seed,
  numRuns: runs,
  endOnFailure: !shrink,
  ...(shrink && { interruptAfterTimeLimit: Number(process.argv[5] ?? 120_000) }),
  ...(path === undefined ? {} : { path }),
});
const outcome: Outcome = {
  seed,
  schedules,
  milliseconds: Math.round(performance.now() - started),
  tally: Object.fromEntries(tally),
  ...(details.failed && {
    broken: {
      message: String((details.errorInstance as Error | undefined)?.stack ?? details.errorInstance),
      path: details.counterexamplePath ?? "",
      steps: JSON.stringify(details.counterexample),
    },
  }),
};
process.stdout.write(`${JSON.stringify(outcome)}\n`);
process.exitCode = details.failed ? 1 : 0;
