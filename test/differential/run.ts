import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * `npm run test:differential`: the tests that compare with Go's own code, with many more random cases and a seed of
 * their own. Prints how many cases of each kind were compared; exit 1 where any disagrees, or they are too few.
 * MODFERRY_SEED, MODFERRY_CASES (times the number of `npm test`), MODFERRY_GRAPHS (graphs) and GRAPH_SEEDS (universes of
 * modules) choose others.
 */
const LEAST_CASES = 100_000;
const TIMES = 20;
const GRAPHS = 400;
/** Random universes of each kind: the seeds of these three suites. */
const UNIVERSES = 60;
/** The whole takes minutes; a test that takes longer than this hangs. In ms. */
const LONGEST_TEST = 1_200_000;

/** All tests that have random cases for Go's own code to answer. */
const suites = [
  ...[
    "semver",
    "version",
    "module-path",
    "go-version",
    "go-text",
    "go-mod",
    "go-sum",
    "info",
    "list-file",
    "netrc",
  ],
  ...["mutated", "dirhash", "zip-fuzz", "zip-create", "zip-create-random"],
  // Random universes of modules, which the go command lists, upgrades and tidies.
  ...["module-graph", "closure", "upgrade"],
].map((name) => `test/gomod/${name}.test.ts`);
suites.push("test/differential/graphs.test.ts");

/** What `tally` is called with, in words. */
const kinds: Readonly<Record<string, string>> = {
  semver: "semver: valid, canonical, parts",
  compareSemver: "semver: order of two",
  sortVersions: "semver: lists sorted",
  sortModules: "module versions sorted",
  path: "paths: module, import, file, escape, unescape, split",
  check: "path and version",
  pathMajor: "version and path ending",
  matchPatterns: "globs",
  revision: "versions escaped, unescaped",
  pseudo: "pseudo-versions: time, rev, base",
  makePseudo: "pseudo-versions made",
  zeroPseudo: "pseudo-versions of zero",
  goVersion: "Go versions (go/version)",
  gover: "Go versions (cmd/go)",
  quote: "quoted text",
  quoteRune: "quoted characters",
  strict: "go.mod, strict",
  lax: "go.mod, lax",
  work: "go.work",
  goSum: "go.sum (cmd/go)",
  netrc: "netrc (cmd/go)",
  info: ".info",
  verdict: "zips: CheckZip, Unzip, HashZip",
  hash1: "h1 of file lists",
  checkFiles: "file lists: CheckFiles",
  create: "zips made of file lists: Create",
  checkDir: "folders: CheckDir",
  createFromDir: "zips made of folders: CreateFromDir",
  zipContent: "zips of ours read by Go",
  graph: "module graphs (go mod graph, go list -m all)",
};

const seed = Number(process.env.MODFERRY_SEED ?? randomInt(1, 2 ** 31));
const folder = mkdtempSync(join(tmpdir(), "modferry-differential-"));
const file = join(folder, "tally.jsonl");
writeFileSync(file, "");
const started = performance.now();
const status = await vitest(["run", `--testTimeout=${LONGEST_TEST}`, ...suites]);
const counts = counted();
const total = printTable(counts);
const none = [...counts].filter(([, cases]) => cases === 0).map(([kind]) => kind);
rmSync(folder, { recursive: true, force: true });
const minutes = ((performance.now() - started) / 60_000).toFixed(1);
console.log(`${total} cases in ${minutes} min; again with MODFERRY_SEED=${seed}`);
if (total < LEAST_CASES) console.log(`fewer than ${LEAST_CASES}: not all suites ran`);
if (none.length > 0) console.log(`no cases of ${none.join(", ")}: a suite is missing`);
process.exitCode = status === 0 && total >= LEAST_CASES && none.length === 0 ? 0 : 1;

function vitest(args: readonly string[]): Promise<number | null> {
  const env = {
    ...process.env,
    MODFERRY_SEED: String(seed),
    MODFERRY_CASES: process.env.MODFERRY_CASES ?? String(TIMES),
    MODFERRY_GRAPHS: process.env.MODFERRY_GRAPHS ?? String(GRAPHS),
    GRAPH_SEEDS: process.env.GRAPH_SEEDS ?? String(UNIVERSES),
    MODFERRY_TALLY: folder,
  };
  const command = join(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");
  const child = spawn(process.execPath, [command, ...args], {
    cwd: join(import.meta.dirname, "../.."),
    env,
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
}

function counted(): Map<string, number> {
  const counts = new Map(Object.keys(kinds).map((kind) => [kind, 0]));
  for (const line of readFileSync(file, "utf8").split("\n").filter(Boolean)) {
    const [kind, cases] = JSON.parse(line) as [string, number];
    counts.set(kind, (counts.get(kind) ?? 0) + cases);
  }
  return counts;
}

function printTable(counts: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [kind, cases] of counts) {
    sum += cases;
    console.log(`${String(cases).padStart(8)}  ${kinds[kind] ?? kind}`);
  }
  return sum;
}
