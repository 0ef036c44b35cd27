// Run by embedded-faults.test.ts: `impatient-child.ts ARGS…` runs `modferry ARGS` in this process with the time-outs and
// waits of its upstream a fraction of the real ones, so that a test can wait for them. A healthy upstream on a loaded
// machine must still answer in time: 0.3 s was too little beside seven other test files.
import { RETRY_WAITS } from "../../adapters/upstream/retries.ts";
import { DEFAULT_TIMING } from "../../adapters/upstream/timing.ts";

for (const phase of ["headers", "idle", "rateWindow"] as const) {
  Object.assign(DEFAULT_TIMING, { [phase]: DEFAULT_TIMING[phase] / 20 });
}
RETRY_WAITS.forEach((wait, at) => void Object.assign(RETRY_WAITS, { [at]: wait / 100 }));
await import("../../cli/modferry.ts");
