/**
 * How fast bundles are made and taken: a mirror is exported whole and imported into an empty island, against `tar` and
 * `cp` of the same tree, against hashing the same zips on two threads (hash.bench.ts), and against a loop that reads,
 * hashes, writes and fsyncs the same files. The rounds of all alternate, so that a noisy machine hits them alike. What is
 * timed: commands from their start to their end, with all that they fsync; tar and cp wait for no disk. `start` is what of
 * each command is node reading the program.
 *
 * Trees are removed at the very end: ext4 without a journal takes no inode that was freed in the last five minutes, and
 * looks at each of these for every new file, which then costs a millisecond instead of 25 microseconds. What a new file
 * costs is printed; above 100 microseconds, name another folder with MODFERRY_BENCH_FOLDER, not below one that tests clear.
 */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { takeSnapshot } from "../../mirror/snapshot/take.ts";
import { type BundleCorpus, bundleCorpora, runSync, type SyncCommand, zipsOf } from "./bundle-corpora.ts";
import { HashThreads } from "./hash-threads.ts";
import { type Measured, measureProcess, median } from "./measured-process.ts";
import { createCost, writeFloor } from "./write-floor.ts";

const ROUNDS = Number(process.env.MODFERRY_BENCH_ROUNDS ?? 5);
const PROGRAM = join(import.meta.dirname, "../../dist/modferry.mjs");

/** Of the table's first column. */
const WIDTH = 27;

/** At least so much of another row's rate. */
const GOALS = { export: { of: "tar", least: 0.5 }, import: { of: "hash, 2 threads", least: 0.7 } } as const;

/** Prints a table for each corpus. Needs `npm run build` first: what is measured is what users run. */
export async function bundleBench(): Promise<void> {
  const root = await mkdtemp(join(process.env.MODFERRY_BENCH_FOLDER ?? tmpdir(), "modferry-bench-"));
  try {
    for await (const corpus of bundleCorpora()) {
      try {
        await benchCorpus(corpus, await mkdtemp(join(root, "corpus-")));
      } finally {
        await corpus.upstream.close();
      }
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function benchCorpus({ name, upstream, fill, grow }: BundleCorpus, folder: string): Promise<void> {
  const outside = join(folder, "outside");
  const tree = join(outside, "tree");
  const key = join(folder, "key");
  const program = [process.execPath, PROGRAM];
  const command = (...args: string[]) => measureProcess(args, { env: process.env });
  const run = (...args: string[]) => command(...program, ...args);
  const at = ["--mirror", outside, "--upstream", upstream.url, "--sumdb", upstream.vkey];
  const sync: SyncCommand = (wishes, stdin) => runSync([...program, "sync", ...wishes, ...at], stdin);
  await fill(sync);
  const keygen = [PROGRAM, "keygen", "bench.example", "--to", key];
  const { stdout } = await promisify(execFile)(process.execPath, keygen);
  const trust = ["--trust", stdout.trim(), "--sumdb", upstream.vkey];
  const first = await snapshot(outside);
  const { bytes, files } = await sizeOf(tree);
  const zips = zipsOf(tree);
  console.log(`${name}: a new file costs ${createCost(join(folder, "probe")).toFixed(0)} µs in ${folder}`);
  const threads = new HashThreads(2);
  const rounds: Record<string, Spent[]> = {};
  const loads: number[] = [];
  const timed = async (what: string, work: Promise<Spent>) => {
    loads.push(loadavg()[0] ?? Number.NaN);
    rounds[what] = [...(rounds[what] ?? []), await work];
  };
  for (let round = 0; round < ROUNDS; round++) {
    const to = join(folder, `round-${round}`);
    await mkdir(to);
    const [discs, island] = [join(to, "discs"), join(to, "island")];
    await timed("tar", command("tar", "-cf", join(to, "tree.tar"), "-C", tree, "."));
    await timed("cp", command("cp", "-r", tree, join(to, "copy")));
    await timed("start", run("--version"));
    await timed("export", run("export", "--full", "--mirror", outside, "--to", discs, "--key", key));
    await timed("import", run("import", discs, "--mirror", island, ...trust));
    await timed(
      "hash, 2 threads",
      spent(() => threads.hashAll(zips)),
    );
    await timed(
      "read, SHA-256, write, fsync",
      spent(() => writeFloor(tree, join(to, "floor"))),
    );
    // A packed copy holds few files; all others stay until the end (see above).
    for (const packed of ["tree.tar", "discs"]) await rm(join(to, packed), { recursive: true });
  }
  await threads.close();
  print(rounds, loads, { bytes, files, zips: zips.length });
  if (grow === undefined) return;
  await grow(sync);
  await snapshot(outside);
  const discs = join(folder, "discs");
  await run("export", "--since", first, "--mirror", outside, "--to", discs, "--key", key);
  const increment = await folderSize(discs);
  await rm(discs, { recursive: true });
  await run("export", "--full", "--mirror", outside, "--to", discs, "--key", key);
  const whole = await folderSize(discs);
  const grown = (await sizeOf(tree)).bytes - bytes;
  console.log(
    `increment: ${megabytes(increment)} MB for ${megabytes(grown)} MB that came to the tree; a full bundle has ${megabytes(whole)} MB`,
  );
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
  console.log(`${"what".padEnd(WIDTH)}  wall s   CPU s    MB/s  goal`);
  const of = (name: string, what: keyof Spent) => median((rounds[name] ?? []).map((round) => round[what]));
  const rate = (name: string) => bytes / 1e6 / of(name, "wallSeconds");
  for (const name of Object.keys(rounds)) {
    if (name === "start") {
      const [wall, cpu] = [of(name, "wallSeconds").toFixed(2), of(name, "cpuSeconds").toFixed(2)];
      console.log([name.padEnd(WIDTH), wall.padStart(6), cpu.padStart(6)].join("  "));
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
    console.log([name.padEnd(WIDTH), ...figures.map((figure) => figure.padStart(6)), said].join("  "));
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

async function sizeOf(tree: string): Promise<{ bytes: number; files: number }> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  return { bytes: await folderSize(tree), files: entries.filter((entry) => entry.isFile()).length };
}
