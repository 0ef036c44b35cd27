/**
 * How fast bundles are made and taken: a mirror of all sample projects and corpora is exported whole and imported into an
 * empty island, against `tar` and `cp` of the same tree and against hashing the same zips on two threads (hash.bench.ts).
 * The rounds of all alternate, so that a noisy machine hits them alike. What is timed: commands from their start to their
 * end, with all that they fsync; tar and cp wait for no disk. `start` is what of each command is node reading the program.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { takeSnapshot } from "../../mirror/snapshot/take.ts";
import { parseTreeKey } from "../../mirror/tree-keys.ts";
import { startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { HashThreads } from "./hash-threads.ts";
import { type Measured, measureProcess, median } from "./measured-process.ts";

const ROUNDS = Number(process.env.MODFERRY_BENCH_ROUNDS ?? 5);
const PROGRAM = join(import.meta.dirname, "../../dist/modferry.mjs");
const PROJECTS = ["small", "medium", "legacy", "modern"];
/** What comes with the increment. */
const LATER = "shouting";
const SYNTHETIC_RECORDS = 100_000;

/** At least so much of another row's rate. */
const GOALS = { export: { of: "tar", least: 0.5 }, import: { of: "hash, 2 threads", least: 0.7 } } as const;

/** Prints the table. Needs `npm run build` first: what is measured is what users run. */
export async function bundleBench(): Promise<void> {
  const upstream = await startUpstream({
    trees: [await fillModuleCache(...PROJECTS, LATER)],
    preset: true,
    synthetic: SYNTHETIC_RECORDS,
  });
  const folder = await mkdtemp(join(process.env.MODFERRY_BENCH_FOLDER ?? tmpdir(), "modferry-bench-"));
  const outside = join(folder, "outside");
  const tree = join(outside, "tree");
  const key = join(folder, "key");
  const run = async (...args: string[]) =>
    await measureProcess([process.execPath, PROGRAM, ...args], { env: process.env });
  try {
    const sync = (project: string) =>
      run(
        "sync",
        join(projectDir(project), "go.mod"),
        "--mirror",
        outside,
        "--upstream",
        upstream.url,
        "--sumdb",
        upstream.vkey,
      );
    for (const project of PROJECTS) await sync(project);
    const { stdout } = await promisify(execFile)(process.execPath, [
      PROGRAM,
      "keygen",
      "bench.example",
      "--to",
      key,
    ]);
    const trust = ["--trust", stdout.trim(), "--sumdb", upstream.vkey];
    const first = await snapshot(outside);
    const { bytes, files, zips } = await sizeOf(tree);
    const threads = new HashThreads(2);
    const rounds: Record<string, Spent[]> = {};
    const loads: number[] = [];
    const timed = async (name: string, work: Promise<Spent>) => {
      loads.push(loadavg()[0] ?? Number.NaN);
      rounds[name] = [...(rounds[name] ?? []), await work];
    };
    const command = (...args: string[]) => measureProcess(args, { env: process.env });
    for (let round = 0; round < ROUNDS; round++) {
      const at = join(folder, `round-${round}`);
      await mkdir(at);
      const [discs, island] = [join(at, "discs"), join(at, "island")];
      await timed("tar", command("tar", "-cf", join(at, "tree.tar"), "-C", tree, "."));
      await timed("cp", command("cp", "-r", tree, join(at, "copy")));
      await timed("start", run("--version"));
      await timed("export", run("export", "--full", "--mirror", outside, "--to", discs, "--key", key));
      await timed("import", run("import", discs, "--mirror", island, ...trust));
      await timed(
        "hash, 2 threads",
        spent(() => threads.hashAll(zips)),
      );
      await rm(at, { recursive: true });
    }
    await threads.close();
    await sync(LATER);
    await snapshot(outside);
    const discs = join(folder, "discs");
    await run("export", "--since", first, "--mirror", outside, "--to", discs, "--key", key);
    const increment = await folderSize(discs);
    await rm(discs, { recursive: true });
    await run("export", "--full", "--mirror", outside, "--to", discs, "--key", key);
    const whole = await folderSize(discs);
    print(rounds, loads, { bytes, files, zips: zips.length });
    const grown = (await sizeOf(tree)).bytes - bytes;
    console.log(
      `increment: ${megabytes(increment)} MB for ${megabytes(grown)} MB that came to the tree; a full bundle has ${megabytes(whole)} MB`,
    );
  } finally {
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  }
}

type Spent = Pick<Measured, "wallSeconds" | "cpuSeconds">;

async function spent(work: () => Promise<void>): Promise<Spent> {
  const before = process.cpuUsage();
  const began = performance.now();
  await work();
  const wallSeconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { wallSeconds, cpuSeconds: (user + system) / 1e6 };
}

function print(
  rounds: Readonly<Record<string, readonly Spent[]>>,
  loads: readonly number[],
  { bytes, files, zips }: { readonly bytes: number; readonly files: number; readonly zips: number },
): void {
  const load = `load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  console.log(
    `${files} files, ${zips} zips, ${megabytes(bytes)} MB; medians of ${ROUNDS}, ${load} (its own work included)`,
  );
  console.log("what               wall s   CPU s    MB/s  goal");
  const of = (name: string, what: keyof Spent) => median((rounds[name] ?? []).map((round) => round[what]));
  const rate = (name: string) => bytes / 1e6 / of(name, "wallSeconds");
  for (const name of Object.keys(rounds)) {
    if (name === "start") {
      const [wall, cpu] = [of(name, "wallSeconds").toFixed(2), of(name, "cpuSeconds").toFixed(2)];
      console.log([name.padEnd(17), wall.padStart(6), cpu.padStart(6)].join("  "));
      continue;
    }
    const goal = GOALS[name as keyof typeof GOALS];
    const ratio = goal === undefined ? 0 : rate(name) / rate(goal.of);
    const cpu = goal === undefined ? 0 : of(goal.of, "cpuSeconds") / of(name, "cpuSeconds");
    const met = goal === undefined ? "" : `${goal.least} ${ratio >= goal.least ? "met" : "missed"}`;
    const said =
      goal === undefined ? "" : `${ratio.toFixed(2)} of ${goal.of} (by CPU ${cpu.toFixed(2)}), ${met}`;
    const figures = [
      of(name, "wallSeconds").toFixed(2),
      of(name, "cpuSeconds").toFixed(2),
      rate(name).toFixed(0),
    ];
    console.log([name.padEnd(17), ...figures.map((figure) => figure.padStart(6)), said].join("  "));
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

async function snapshot(mirror: string): Promise<string> {
  const { tree, vault, ledger, spools, close } = await openFolderMirror(mirror, { mode: "write" });
  try {
    const spool = (chunks: AsyncIterable<Uint8Array>, limit: number, subject?: string) =>
      spools.spool(chunks, limit, subject);
    const taken = await takeSnapshot(
      { tree, vault, ledger, now: Date.now, spool },
      { owner: "bench", closedAfter: 0 },
    );
    if (taken.outcome !== "taken") throw new Error(`no snapshot: ${taken.outcome}`);
    return taken.header.name;
  } finally {
    await close();
  }
}

async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sizeOf(tree: string) {
  const entries = (await readdir(tree, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const zips = entries.flatMap((entry) => {
    const file = join(entry.parentPath, entry.name);
    const found = parseTreeKey(file.slice(tree.length + 1));
    return found?.kind === "zip" ? [{ file, path: found.version.path, version: found.version.version }] : [];
  });
  return { bytes: await folderSize(tree), files: entries.length, zips };
}
