/**
 * How fast a project is mirrored with proofs: the medium corpus from a loopback upstream with a private checksum
 * database, by `modferry sync` into an empty folder and by `go mod download all` into an empty module cache. The rounds
 * of both alternate, so that a noisy machine hits them alike.
 */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { goClient } from "../go-client.ts";
import { startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { type Measured, measureProcess, median } from "./measured-process.ts";

const ROUNDS = Number(process.env.MODFERRY_BENCH_ROUNDS ?? 5);
/** Three levels of tiles. */
const SYNTHETIC_RECORDS = 100_000;
const CORPUS = "medium";
const PROJECT_ROOT = join(import.meta.dirname, "../..");

interface Round extends Measured {
  readonly requests: Readonly<Record<string, number>>;
}

/** Prints the table. Needs `npm run build` first: what is measured is what users run. */
export async function syncBench(): Promise<void> {
  const tree = await fillModuleCache(CORPUS);
  const upstream = await startUpstream({ trees: [tree], preset: true, synthetic: SYNTHETIC_RECORDS });
  const rows: Record<string, Round[]> = { "modferry sync": [], "go mod download all": [] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await upstream.reset();
      rows["modferry sync"]?.push({
        ...(await runSync(upstream)),
        requests: (await upstream.counts()).kinds,
      });
      await upstream.reset();
      rows["go mod download all"]?.push({
        ...(await runGo(upstream)),
        requests: (await upstream.counts()).kinds,
      });
    }
  } finally {
    await upstream.close();
  }
  print(rows);
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

function print(rows: Readonly<Record<string, Round[]>>): void {
  const base = median((rows["go mod download all"] ?? []).map((round) => round.wallSeconds));
  console.log(`${CORPUS} corpus, medians of ${ROUNDS}`);
  console.log(["command".padEnd(22), "wall s", "of go", "CPU s", "peak MiB", "requests"].join("  "));
  for (const [name, rounds] of Object.entries(rows)) {
    const wall = median(rounds.map((round) => round.wallSeconds));
    const requests = Object.entries(rounds.at(-1)?.requests ?? {})
      .map(([kind, count]) => `${count} ${kind}`)
      .join(", ");
    console.log(
      [
        name.padEnd(22),
        wall.toFixed(2).padStart(6),
        (wall / base).toFixed(2).padStart(5),
        median(rounds.map((round) => round.cpuSeconds))
          .toFixed(2)
          .padStart(5),
        median(rounds.map((round) => round.peakMiB))
          .toFixed(0)
          .padStart(8),
        requests,
      ].join("  "),
    );
  }
}
