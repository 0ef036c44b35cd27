import { appendFileSync } from "node:fs";
import { join } from "node:path";

/** Where `npm run test:differential` has the cases counted; in other runs nobody counts. */
const folder = process.env.MODFERRY_TALLY;

/** Counts cases that are compared with Go's own code. */
export function tally(kind: string, cases: number): void {
  if (folder === undefined || cases === 0) return;
  // A line below 4 KB is appended whole, whatever other test processes write.
  appendFileSync(join(folder, "tally.jsonl"), `${JSON.stringify([kind, cases])}\n`);
}
