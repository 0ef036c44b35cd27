import fc from "fast-check";
import type { Tally } from "./simulation.ts";

/** What came of some schedules, as their process prints it in one line of JSON. */
export interface Outcome {
  readonly seed: number;
  readonly schedules: number;
  readonly milliseconds: number;
  readonly tally: Readonly<Record<string, number>>;
  /** What was broken, how to see it again (`path` of fast-check), and the schedule. */
  readonly broken?: { readonly message: string; readonly path: string; readonly steps: string };
}

interface Schedule<Step> {
  readonly steps: readonly Step[];
  readonly seed: number;
}

/**
 * The whole of a process `node --import deterministic.ts CHILD SEED COUNT [shrink [MS]]`: runs so many random schedules,
 * and prints their Outcome. Exit 0 where all held, 1 where one showed a reader what it must never see. MODFERRY_PATH
 * begins with the one schedule that an Outcome names.
 * @param run throws Broken.
 */
export async function runAsChild<Step>(
  schedule: fc.Arbitrary<Schedule<Step>>,
  run: (steps: readonly Step[], seed: number, tally: Tally) => Promise<void>,
): Promise<void> {
  const [seed = 1, count = 100] = process.argv.slice(2, 4).map(Number);
  const shrink = process.argv[4] === "shrink";
  const path = process.env.MODFERRY_PATH;
  const tally: Tally = new Map();
  let schedules = 0;
  const started = performance.now();
  const property = fc.asyncProperty(schedule, async ({ steps, seed: chance }) => {
    await run(steps, chance, tally);
    schedules++;
  });
  const details = await fc.check(property, {
    seed,
    numRuns: count,
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
}
