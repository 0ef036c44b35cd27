/**
 * How fast a project is mirrored with proofs: the medium corpus from a loopback upstream with a private checksum
 * database, by `modferry sync` into an empty folder, by `go mod download all` into an empty module cache, and by caching
 * proxies that verify, each asked for all of it, cold. The rounds of all alternate, so that a noisy machine hits them
 * alike. What is timed: a command from its start to its end; a proxy, which runs already, from the first request to the
 * last reply.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { goClient } from "../go-client.ts";
import { startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { runAthens, runGoproxy } from "./caching-proxies.ts";
import { type Measured, measureProcess, median } from "./measured-process.ts";

const ROUNDS = Number(process.env.MODFERRY_BENCH_ROUNDS ?? 5);
/** Three levels of tiles. */
const SYNTHETIC_RECORDS = 100_000;
const CORPUS = "medium";
const PROJECT_ROOT = join(import.meta.dirname, "../..");

interface Round extends Measured {
  readonly requests: Readonly<Record<string, number>>;
}

/** At most so much of each other row's wall and CPU time, where the row has a goal. */
const GOALS: Readonly<Record<string, { readonly wall: number; readonly cpu?: number }>> = {
  goproxy: { wall: 1, cpu: 1 },
  "go mod download all": { wall: 0.25 },
  athens: { wall: 0.3 },
};

/** Prints the table. Needs `npm run build` first: what is measured is what users run. */
export async function syncBench(): Promise<void> {
  const tree = await fillModuleCache(CORPUS);
  const upstream = await startUpstream({ trees: [tree], preset: true, synthetic: SYNTHETIC_RECORDS });
  const athens = process.env.ATHENS_BIN;
  const runs: Record<string, () => Promise<Measured>> = {
    "modferry sync": () => runSync(upstream),
    goproxy: () => runGoproxy(CORPUS, upstream),
    "go mod download all": () => runGo(upstream),
    ...(athens ? { athens: () => runAthens(athens, CORPUS, upstream) } : {}),
  };
  const rows: Record<string, Round[]> = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  const loads: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, run] of Object.entries(runs)) {
        loads.push(loadavg()[0] ?? Number.NaN);
        await upstream.reset();
        rows[name]?.push({ ...(await run()), requests: (await upstream.counts()).kinds });
      }
    }
  } finally {
    await upstream.close();
  }
  print(rows, loads);
  if (!athens) console.log("athens: skipped: ATHENS_BIN names no binary of it");
}

async function runSync(upstream: { url: string; vkey: string }): Promise<Measured> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-bench-"));
  try {
    const goMod = join(projectDir(CORPUS), "go.mod");
    const flags = ["--mirror", join(folder, "mirror"), "--upstream", upstream.url, "--sumdb", upstream.vkey];
    const command = [process.execPath, join(PROJECT_ROOT, "dist/modferry.mjs"), "sync", goMod, ...flags];
    return await measureProcess(command, { env: process.env });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runGo(upstream: { url: string; vkey: string }): Promise<Measured> {
  const client = await goClient({ goproxy: upstream.url, gosumdb: upstream.vkey });
  try {
    const folder = join(client.home, "project");
    await cp(projectDir(CORPUS), folder, { recursive: true });
    // Without go.sum every hash is asked of the database, as modferry asks it.
    await rm(join(folder, "go.sum"), { force: true });
    return await measureProcess(["go", "mod", "download", "all"], { env: { ...client.env }, cwd: folder });
  } finally {
    await client.dispose();
  }
}

/** Ratios are of modferry's medians to the row's. */
function print(rows: Readonly<Record<string, Round[]>>, loads: readonly number[]): void {
  const of = (name: string, what: keyof Measured) => median((rows[name] ?? []).map((round) => round[what]));
  const ours = (name: string, what: keyof Measured) => of("modferry sync", what) / of(name, what);
  const load = `load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  console.log(`${CORPUS} corpus, medians of ${ROUNDS}, ${load} (its own work included)`);
  console.log("command                 wall s   CPU s  peak MiB  ours/wall  ours/CPU  goal  requests");
  for (const [name, rounds] of Object.entries(rows)) {
    const requests = Object.entries(rounds.at(-1)?.requests ?? {})
      .map(([kind, count]) => `${count} ${kind}`)
      .join(", ");
    const goal = GOALS[name];
    const met =
      goal === undefined ||
      (ours(name, "wallSeconds") <= goal.wall &&
        ours(name, "cpuSeconds") <= (goal.cpu ?? Number.POSITIVE_INFINITY));
    console.log(
      [
        name.padEnd(22),
        of(name, "wallSeconds").toFixed(2).padStart(6),
        of(name, "cpuSeconds").toFixed(2).padStart(6),
        of(name, "peakMiB").toFixed(0).padStart(8),
        ours(name, "wallSeconds").toFixed(2).padStart(9),
        ours(name, "cpuSeconds").toFixed(2).padStart(8),
        (goal === undefined ? "" : `${goal.wall} ${met ? "met" : "missed"}`).padStart(11),
        requests,
      ].join("  "),
    );
  }
}
