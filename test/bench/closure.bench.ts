/**
 * How fast a module graph is closed with all `.mod` files on disk: `closeBuild` in this process, reading and parsing
 * each file, against `go mod graph` on the same files. The rounds of all rows alternate, so that a noisy machine hits
 * them alike. go's start-up, which `go version` has too, is measured beside it and taken off.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Closure, closeBuild } from "../../gomod/closure.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { loadModuleGraph } from "../../gomod/module-graph.ts";
import { escapePath } from "../../gomod/module-path.ts";
import type { LoadGoMod } from "../../gomod/requirements.ts";
import { type Random, random } from "../gomod/module-universe.ts";
import { testCache } from "../upstream/exclusive.ts";
import { measureProcess, median } from "./measured-process.ts";

const ROUNDS = Number(process.env.MODFERRY_BENCH_ROUNDS ?? 11);
/** A fourth of them has two versions, of which a few are not reached: 1,000 nodes. */
const MODULES = 812;
const SECOND_VERSIONS = 203;
/** As in hugo v0.120.4's graph: its `.mod` files require 18 modules on average. */
const MOST_REQUIREMENTS = 36;
const SEED = 1;
/** Filled by `npm run test:closure`. */
const CLOSURE_CACHE = join(testCache, "closure/upstream");
const REAL = { path: "github.com/gohugoio/hugo", version: "v0.120.4" };

/** A main module, and a GOPROXY tree that has every `.mod` of its graph. */
interface Graph {
  readonly name: string;
  readonly goMod: string;
  readonly tree: string;
}

/** Milliseconds. */
interface Spent {
  readonly wall: number;
  readonly cpu: number;
}

/** Prints a table for each graph. */
export async function closureBench(): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "modferry-closure-bench-"));
  try {
    for (const graph of graphs(scratch)) await benchGraph(graph, await mkdtemp(join(scratch, "graph-")));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function* graphs(scratch: string): Iterable<Graph> {
  yield generated("generated, pruned with some older modules", join(scratch, "pruned"), "1.21");
  yield generated("generated, unpruned", join(scratch, "unpruned"), "1.16");
  const real = join(CLOSURE_CACHE, REAL.path, "@v", `${REAL.version}.mod`);
  if (existsSync(real))
    yield { name: `${REAL.path}@${REAL.version}`, goMod: readFileSync(real, "utf8"), tree: CLOSURE_CACHE };
  else console.log(`skipped: ${REAL.path}: run npm run test:closure first`);
}

async function benchGraph(graph: Graph, folder: string): Promise<void> {
  const modCache = join(folder, "modcache");
  const project = join(folder, "project");
  mkdirSync(project);
  writeFileSync(join(project, "go.mod"), graph.goMod);
  const env = {
    ...process.env,
    GOMODCACHE: modCache,
    GOFLAGS: "-mod=mod -modcacherw",
    GOSUMDB: "off",
    GOTOOLCHAIN: "local",
    GOWORK: "off",
    GOENV: "off",
  };
  const go = async (command: string[], goproxy: string): Promise<Spent> => {
    const run = await measureProcess(["go", ...command], { cwd: project, env: { ...env, GOPROXY: goproxy } });
    return { wall: run.wallSeconds * 1000, cpu: run.cpuSeconds * 1000 };
  };
  // The first one fills the cache. Without a go.sum neither side hashes what it reads.
  await go(["mod", "graph"], pathToFileURL(graph.tree).href);
  const download = join(modCache, "cache/download");
  const load = loadFrom(download, (file) => readFileSync(file));
  const loadAside = loadFrom(download, (file) => readFile(file));
  const rows: readonly (readonly [string, () => Promise<Spent>])[] = [
    ["go mod graph", () => go(["mod", "graph"], "off")],
    ["go version (start-up)", () => go(["version"], "off")],
    ["closeBuild", () => timed(() => close(project, load))],
    ["closeBuild, promised reads", () => timed(() => close(project, loadAside))],
  ];
  const times = rows.map((): Spent[] => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, [, measure]] of rows.entries()) times[index]?.push(await measure());
  const { loaded, nodes } = await countNodes(project, load);
  printTable(
    `${graph.name}: ${nodes} nodes, ${loaded} .mod files read`,
    rows.map(([what]) => what),
    times,
  );
}

async function close(project: string, load: LoadGoMod): Promise<Closure> {
  const goMod = parseGoMod("go.mod", readFileSync(join(project, "go.mod")), "strict");
  const closure = await closeBuild({ mains: [{ name: "go.mod", goMod }] }, "tidy", load);
  const [failed] = closure.failures;
  if (failed !== undefined) throw new Error(`${failed.path}@${failed.version}: ${String(failed.error)}`);
  return closure;
}

/** Reads from a module cache, parses and forgets: each run does it all again. */
function loadFrom(download: string, read: (file: string) => Uint8Array | Promise<Uint8Array>): LoadGoMod {
  return async ({ path, version }) => {
    const file = join(download, escapePath(path), "@v", `${version}.mod`);
    return parseGoMod(file, await read(file), "lax");
  };
}

async function countNodes(project: string, load: LoadGoMod): Promise<{ loaded: number; nodes: number }> {
  const nodes = new Set<string>();
  const goMod = parseGoMod("go.mod", readFileSync(join(project, "go.mod")), "strict");
  const counting: LoadGoMod = async (module) => {
    const read = await load(module);
    nodes.add(`${module.path}@${module.version}`);
    for (const { path, version } of read.require) nodes.add(`${path}@${version}`);
    return read;
  };
  const { loaded } = await loadModuleGraph({ mains: [{ name: "go.mod", goMod }] }, counting);
  return { loaded: loaded.length, nodes: nodes.size };
}

function printTable(title: string, names: readonly string[], times: readonly (readonly Spent[])[]): void {
  const [goGraph = [], startUp = [], ours = []] = times;
  const net = goGraph.map(({ wall, cpu }, round) => ({
    wall: wall - (startUp[round]?.wall ?? 0),
    cpu: cpu - (startUp[round]?.cpu ?? 0),
  }));
  const base = medians(net);
  const row = (name: string, spent: readonly Spent[]) => {
    const { wall, cpu } = medians(spent);
    const cells = [
      wall.toFixed(1),
      (wall / base.wall).toFixed(2),
      cpu.toFixed(1),
      (cpu / base.cpu).toFixed(2),
    ];
    return name.padEnd(28) + cells.map((cell) => cell.padStart(12)).join("");
  };
  const head = ["wall ms", "of go net", "CPU ms", "of go net"].map((cell) => cell.padStart(12)).join("");
  console.log(
    [
      title,
      `medians of ${ROUNDS}`.padEnd(28) + head,
      ...names.map((name, index) => row(name, times[index] ?? [])),
      row("go mod graph, net", net),
      row("closeBuild, first round", ours.slice(0, 1)),
      "",
    ].join("\n"),
  );
}

function medians(spent: readonly Spent[]): Spent {
  return { wall: median(spent.map(({ wall }) => wall)), cpu: median(spent.map(({ cpu }) => cpu)) };
}

async function timed(work: () => Promise<unknown>): Promise<Spent> {
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  await work();
  const wall = performance.now() - started;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { wall, cpu: (user + system) / 1000 };
}

/**
 * A graph of 1,000 nodes. With `go` at least 1.17 the main module lists a version of every module, as a tidy one
 * does, and a seventh of the modules is older than pruning; else it lists a few, and all are older.
 */
function generated(name: string, tree: string, go: string): Graph {
  const pick = random(SEED);
  const pruned = go !== "1.16";
  for (let module = 0; module < MODULES; module++) {
    const versions = module % (MODULES / SECOND_VERSIONS) === 0 ? ["v1.0.0", "v1.2.0"] : ["v1.0.0"];
    for (const version of versions) {
      const file = join(tree, pathOf(module), "@v", `${version}.mod`);
      mkdirSync(dirname(file), { recursive: true });
      const own = pruned && pick(7) > 0 ? "1.19" : "1.16";
      writeFileSync(file, goModText(pathOf(module), own, requirements(module, pick)));
    }
  }
  const direct = Array.from({ length: MODULES }, (_, module) => module).filter(
    (module) => pruned || module < 40,
  );
  const lines = direct.map((module) => `${pathOf(module)} ${versionOf(module, pick)}`);
  return { name, goMod: goModText("example.com/main", go, lines), tree };
}

/** On modules behind this one, the next one among them, so that all are reached. */
function requirements(module: number, pick: Random): string[] {
  const behind = MODULES - module - 1;
  const wanted = new Set<number>(behind > 0 ? [module + 1] : []);
  for (let count = Math.min(pick(MOST_REQUIREMENTS), behind); count > 0; count--)
    wanted.add(module + 1 + pick(behind));
  return [...wanted].map((other) => `${pathOf(other)} ${versionOf(other, pick)}`);
}

function versionOf(module: number, pick: Random): string {
  return module % (MODULES / SECOND_VERSIONS) === 0 && pick(2) === 0 ? "v1.2.0" : "v1.0.0";
}

function pathOf(module: number): string {
  return `example.com/organization-${module % 50}/project-${module}`;
}

/** Direct requirements, and a second block of indirect ones, as `go mod tidy` writes them. */
function goModText(path: string, go: string, requires: readonly string[]): string {
  const direct = requires.filter((_, at) => at % 3 === 0).map((line) => `\t${line}\n`);
  const indirect = requires.filter((_, at) => at % 3 !== 0).map((line) => `\t${line} // indirect\n`);
  return `module ${path}\n\ngo ${go}\n\nrequire (\n${direct.join("")})\n\nrequire (\n${indirect.join("")})\n`;
}

if (process.argv[1] === import.meta.filename) await closureBench();
