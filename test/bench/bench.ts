import { bundleBench } from "./bundle.bench.ts";
import { closureBench } from "./closure.bench.ts";
import { formatHashTable, hashBench } from "./hash.bench.ts";
import { largeBench } from "./large.bench.ts";
import { loadBench } from "./load.bench.ts";
import { planBench } from "./plan.bench.ts";
import { scrubBench } from "./scrub.bench.ts";
import { snapshotBench } from "./snapshot.bench.ts";
import { syncBench } from "./sync.bench.ts";

/** `npm run bench -- NAME…`: each prints one table. */
const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  bundle: bundleBench,
  closure: closureBench,
  hash: async () => console.log(formatHashTable(await hashBench())),
  large: largeBench,
  load: loadBench,
  plan: () => planBench(),
  scrub: () => scrubBench(),
  snapshot: () => snapshotBench(),
  sync: syncBench,
};

const names = process.argv.slice(2);
const unknown = names.find((name) => BENCHES[name] === undefined);
if (unknown !== undefined || names.length === 0) {
  console.error(`bench: ${unknown ?? "no name"}: give one or more of ${Object.keys(BENCHES).join(", ")}`);
  process.exit(2);
}
for (const name of names) await BENCHES[name]?.();
