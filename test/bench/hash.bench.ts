/**
 * How fast zips are checked and hashed: corpora/medium.txt against Go's dirhash on one and two threads, and against
 * the floor that node:zlib and SHA-256 set. The rounds of all rows alternate, so that a noisy machine hits them alike.
 */
import { hash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { inflateRawSync } from "node:zlib";
import { moduleVersion } from "../../gomod/version.ts";
import { checkAndHashZip } from "../../gomod/zip-check.ts";
import { readZipDirectory } from "../../gomod/zip-directory.ts";
import { bytesSource } from "../../gomod/zip-source.ts";
import { type DownloadedModule, downloadModules, ZipOracle } from "../gomod/zip-oracle.ts";

const ROUNDS = 5;
const THREADS = 2;
const MIB = 1024 * 1024;

/** One line of the table: medians over the rounds. */
export interface HashRow {
  readonly what: string;
  readonly milliseconds: number;
  /** CPU time of the whole process, all its threads; hardly moved by what else the machine does. */
  readonly cpuMilliseconds: number;
  /** Unpacked content. */
  readonly mibPerSecond: number;
  /** How many times as fast as Go's dirhash on one thread. */
  readonly timesGo: number;
}

/** Where the list of modules lies: beside the checkout, or where MODFERRY_CORPORA says. */
const corpora = process.env.MODFERRY_CORPORA ?? join(import.meta.dirname, "../../../shared/corpora");

/**
 * Measures all rows; every h1 is compared with the go command's before.
 * @throws Error where the corpus lacks or an h1 is wrong.
 */
export async function hashBench(): Promise<HashRow[]> {
  const list = join(corpora, "medium.txt");
  if (!existsSync(list)) throw new Error(`${list} lacks: set MODFERRY_CORPORA to the folder with medium.txt`);
  // The largest first, for Go as for us: else both wait in the end for one thread.
  const modules = downloadModules(readFileSync(list, "utf8").trim().split(/\s+/)).sort(
    (a, b) => statSync(b.Zip).size - statSync(a.Zip).size,
  );
  const files = modules.map((module) => module.Zip);
  const oracle = new ZipOracle();
  const pool = Array.from({ length: THREADS }, () => new HashThread());
  let unpacked = 0;
  for (const module of modules) {
    const checked = await checkOne(module);
    if (checked.h1 !== module.Sum)
      throw new Error(`${module.Path}@${module.Version}: ${checked.h1}, want ${module.Sum}`);
    unpacked += checked.uncompressed;
  }
  const go = async (threads: number): Promise<Spent> => {
    const { nanos = Number.NaN, cpuNanos = Number.NaN } = await oracle.ask({ op: "time", files, threads });
    return { wall: nanos / 1e6, cpu: cpuNanos / 1e6 };
  };
  const rows: readonly (readonly [string, () => Promise<Spent>])[] = [
    ["Go dirhash, 1 thread", () => go(1)],
    [`Go dirhash, ${THREADS} threads`, () => go(THREADS)],
    ["node:zlib and SHA-256 alone (floor)", () => timed(() => floor(files))],
    ["checkAndHashZip, 1 thread", () => timed(() => checkAll(modules))],
    [`checkAndHashZip, ${THREADS} threads`, () => timed(() => checkOnThreads(pool, modules))],
  ];
  const times = rows.map((): Spent[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, [, measure]] of rows.entries()) times[index]?.push(await measure());
  }
  oracle.close();
  await Promise.all(pool.map((thread) => thread.close()));
  const walls = times.map((spent) => median(spent.map(({ wall }) => wall)));
  const cpus = times.map((spent) => median(spent.map(({ cpu }) => cpu)));
  return rows.map(([what], index) => {
    const milliseconds = walls[index] ?? Number.NaN;
    return {
      what,
      milliseconds,
      cpuMilliseconds: cpus[index] ?? Number.NaN,
      mibPerSecond: unpacked / MIB / (milliseconds / 1000),
      timesGo: (walls[0] ?? Number.NaN) / milliseconds,
    };
  });
}

/** The table as text, with the ratio to the floor below it. */
export function formatHashTable(rows: readonly HashRow[]): string {
  const line = (what: string, ...cells: string[]) =>
    what.padEnd(38) + cells.map((cell) => cell.padStart(9)).join("");
  const lines = rows.map((row) =>
    line(
      row.what,
      row.milliseconds.toFixed(0),
      row.cpuMilliseconds.toFixed(0),
      row.mibPerSecond.toFixed(0),
      row.timesGo.toFixed(2),
    ),
  );
  const [, , bare, ours] = rows;
  const wall = ((bare?.milliseconds ?? Number.NaN) / (ours?.milliseconds ?? Number.NaN)).toFixed(2);
  const cpu = ((bare?.cpuMilliseconds ?? Number.NaN) / (ours?.cpuMilliseconds ?? Number.NaN)).toFixed(2);
  return [
    line("medium corpus, medians of five", "wall ms", "CPU ms", "MiB/s", "x Go (1)"),
    ...lines,
    `checkAndHashZip on one thread runs at ${wall} of the floor's speed (by CPU time ${cpu})`,
  ].join("\n");
}

/** One module's zip, read from the file as a whole. */
function checkOne(module: DownloadedModule) {
  return checkAndHashZip(bytesSource(readFileSync(module.Zip)), moduleVersion(module.Path, module.Version));
}

async function checkAll(modules: readonly DownloadedModule[]): Promise<void> {
  for (const module of modules) await checkOne(module);
}

/** What no program on Node's zlib can leave out: reading, one public inflate and one SHA-256 an entry; nothing is checked. */
async function floor(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const zip = readFileSync(file);
    for (const entry of (await readZipDirectory(bytesSource(zip))).entries) {
      const at = entry.headerOffset;
      const start = at + 30 + zip.readUInt16LE(at + 26) + zip.readUInt16LE(at + 28);
      const data = zip.subarray(start, start + entry.compressedSize);
      hash("sha256", entry.method === 8 ? inflateRawSync(data) : data, "hex");
    }
  }
}

/** Each thread takes the next module when it is free, as a pool does. */
async function checkOnThreads(
  pool: readonly HashThread[],
  modules: readonly DownloadedModule[],
): Promise<void> {
  let next = 0;
  await Promise.all(
    pool.map(async (thread) => {
      for (let module = modules[next++]; module !== undefined; module = modules[next++])
        await thread.check(module);
    }),
  );
}

class HashThread {
  readonly #worker = new Worker(new URL("./hash-thread.ts", import.meta.url));

  check(module: DownloadedModule): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once("message", (h1: unknown) => {
        if (h1 === module.Sum) resolve();
        else reject(new Error(`${module.Path}@${module.Version}: ${String(h1)}, want ${module.Sum}`));
      });
      this.#worker.postMessage({ file: module.Zip, path: module.Path, version: module.Version });
    });
  }

  close(): Promise<number> {
    return this.#worker.terminate();
  }
}

/** Milliseconds. */
interface Spent {
  readonly wall: number;
  readonly cpu: number;
}

async function timed(work: () => Promise<void>): Promise<Spent> {
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  await work();
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wall, cpu: (user + system) / 1000 };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

if (process.argv[1] === import.meta.filename) console.log(formatHashTable(await hashBench()));
