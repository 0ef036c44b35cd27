/**
 * `node load-counted.ts CONFIG MIRROR`: one round of `modferry sync --config`, and on standard output what it asked of the
 * ledger and of the disk, as one line of JSON. Counting costs time, so a run of its own.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** Calls by name. */
export type Counts = Readonly<Record<string, number>>;

export interface Counted {
  readonly problems: number;
  readonly ledger: Counts;
  readonly disk: Counts;
}

const [config = "", folder = ""] = process.argv.slice(2);
const disk: Record<string, number> = {};
// Before anything that binds their names is loaded.
countMethods(fs, ["fsync", "fdatasync", "fsyncSync", "fdatasyncSync"], disk);
syncBuiltinESMExports();

const { SqliteLedger } = await import("../../adapters/local/sqlite-ledger.ts");
const { openEmbedded } = await import("../../cli/embedded.ts");
const { readEnvironment } = await import("../../cli/environment.ts");
const { parseOptions } = await import("../../cli/options.ts");
const { SyncProgress } = await import("../../cli/progress.ts");
const { syncRound } = await import("../../cli/sync-round.ts");

const ledger: Record<string, number> = {};
// Its methods are its own and those of the class that it extends.
for (let of: object = SqliteLedger.prototype; of !== Object.prototype; of = Object.getPrototypeOf(of)) {
  const names = Object.getOwnPropertyNames(of).filter((name) => !["constructor", "close"].includes(name));
  countMethods(of, names, ledger);
}

const environment = readEnvironment(process.env);
const flags = ["--config", config, "--mirror", folder];
const options = parseOptions("sync", ["config", "mirror"], flags, environment);
const quiet = {
  print: () => {},
  error: (line: string) => console.error(line),
  status: undefined,
  stdin: async () => "",
};
const mirror = await openEmbedded(options, environment, () => {});
const progress = new SyncProgress({ ...quiet, error: () => {} }, false);
const round = { bodies: [], name: "load", isFirst: true };
const problems = await syncRound(mirror, round, options, quiet, progress);
const counted: Counted = { problems, ledger: { ...ledger }, disk: { ...disk } };
await mirror.close();
console.log(JSON.stringify(counted));

/** Each of these methods, where there is one, counts its calls from now on. */
function countMethods(of: object, names: readonly string[], counts: Record<string, number>): void {
  for (const name of names) {
    const method: unknown = Reflect.get(of, name);
    if (typeof method !== "function") continue;
    Reflect.set(of, name, function counted(this: unknown, ...args: unknown[]): unknown {
      counts[name] = (counts[name] ?? 0) + 1;
      return Reflect.apply(method, this, args);
    });
  }
}
