import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { describeOutcome, runSchedules } from "./child-run.ts";
import { GARBAGE_CHILD, GARBAGE_MUTANTS } from "./garbage/garbage-mutants.ts";
import { MUTANTS } from "./mutants.ts";
import type { Outcome } from "./outcome.ts";

/**
 * `npm run test:property`: 10,000 random schedules of a mirror's life, in batches, each with a seed of its own; then each
 * mutant, which has to be caught. Exit 1 where a schedule shows a reader what it must never see, where fewer ran, or
 * where a mutant lives. MODFERRY_SEED and MODFERRY_SCHEDULES choose others; MODFERRY_MUTANTS=0 leaves the mutants out.
 */
const LEAST = 10_000;
const BATCH = 100;
/** A mutant has so many schedules to show itself. */
const FOR_A_MUTANT = 1_000;

const wanted = Number(process.env.MODFERRY_SCHEDULES ?? LEAST);
const seed = Number(process.env.MODFERRY_SEED ?? randomInt(1, 2 ** 30));
const workers = Math.max(1, Math.min(2, availableParallelism()));
const started = performance.now();

const batches = Array.from({ length: Math.ceil(wanted / BATCH) }, (_, at) => ({
  seed: seed + at,
  schedules: Math.min(BATCH, wanted - at * BATCH),
}));
console.log(`${wanted} schedules, seeds ${seed} to ${seed + batches.length - 1}`);
const outcomes = await each(batches, async (batch) => {
  const outcome = await runSchedules(batch);
  const { schedules, milliseconds, broken } = outcome;
  console.log(`seed ${batch.seed}: ${schedules} schedules in ${Math.round(milliseconds / 1_000)} s`);
  if (broken !== undefined) console.log(describeOutcome(outcome));
  return outcome;
});
const ran = outcomes.reduce((sum, { schedules }) => sum + schedules, 0);
const total = summed(outcomes);
for (const [what, by] of Object.entries(total).sort(([a], [b]) => (a < b ? -1 : 1)))
  console.log(`${String(by).padStart(9)}  ${what}`);
const broken = outcomes.filter((outcome) => outcome.broken !== undefined).length;
console.log(`${ran} schedules in ${minutes()} min; again with MODFERRY_SEED=${seed}`);
if (broken > 0) console.log(`${broken} of ${batches.length} batches found something broken`);
if (ran < wanted) console.log(`fewer than ${wanted}`);

/** Of a mirror that collects its garbage: a tenth as many. */
const collecting = await each(batches.slice(0, Math.ceil(batches.length / 10)), async (batch) => {
  const outcome = await runSchedules({ ...batch, child: GARBAGE_CHILD });
  const seconds = Math.round(outcome.milliseconds / 1_000);
  console.log(`seed ${batch.seed}, collecting garbage: ${outcome.schedules} schedules in ${seconds} s`);
  if (outcome.broken !== undefined) console.log(describeOutcome(outcome));
  return outcome;
});
const brokenCollecting = collecting.filter((outcome) => outcome.broken !== undefined).length;
if (brokenCollecting > 0)
  console.log(`${brokenCollecting} batches found something broken by garbage collection`);

const alive: string[] = [];
const mutants = [...MUTANTS, ...GARBAGE_MUTANTS];
if (process.env.MODFERRY_MUTANTS !== "0") {
  await each(mutants, async (mutant) => {
    const child = GARBAGE_MUTANTS.includes(mutant) ? { child: GARBAGE_CHILD } : {};
    const outcome = await runSchedules({ seed, schedules: FOR_A_MUTANT, mutant, ...child });
    if (outcome.broken === undefined) alive.push(mutant.name);
    const [first = ""] = (outcome.broken?.message ?? "").replace(/^Error: /, "").split("\n");
    const how =
      outcome.broken === undefined ? "LIVES" : `caught by schedule ${outcome.schedules + 1}: ${first}`;
    console.log(`${mutant.name}: ${how.slice(0, 200)}`);
  });
  console.log(`${mutants.length - alive.length} of ${mutants.length} mutants caught, after ${minutes()} min`);
}
process.exitCode = broken + brokenCollecting === 0 && ran >= wanted && alive.length === 0 ? 0 : 1;

function minutes(): string {
  return ((performance.now() - started) / 60_000).toFixed(1);
}

function summed(all: readonly Outcome[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { tally } of all)
    for (const [what, by] of Object.entries(tally)) sum[what] = (sum[what] ?? 0) + by;
  return sum;
}

/** So many at a time, in order. */
async function each<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await act(items[at] as T);
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return results;
}
