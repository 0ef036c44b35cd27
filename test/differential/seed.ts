/** One seed for all random cases, so that a failure comes again; MODFERRY_SEED tries others. */
export const seed = Number(process.env.MODFERRY_SEED ?? 20_261_123);
/** How many times the usual number of random cases is tried. */
export const factor = Number(process.env.MODFERRY_CASES ?? 1);

/** Of vitest: called once, before all tests. */
export function setup(): void {
  console.log(`random cases: MODFERRY_SEED=${seed} MODFERRY_CASES=${factor}`);
}
