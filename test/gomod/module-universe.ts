import { compareSemver } from "../../gomod/semver.ts";
import { storedZip } from "./stored-zip.ts";

/** One version of a generated module. */
export interface UniverseModule {
  readonly path: string;
  readonly version: string;
  /** The go line, or undefined for none. */
  readonly go: string | undefined;
  readonly require: readonly UniverseRequire[];
  /** Module paths whose root package this module's root package, its `sub` package, its test import. */
  readonly imports: { readonly root: string[]; readonly sub: string[]; readonly test: string[] };
}

export interface UniverseRequire {
  readonly path: string;
  readonly version: string;
  readonly indirect: boolean;
}

/** Numbers in [0, n), the same for the same seed on every machine (mulberry32). */
export type Random = (n: number) => number;

export function random(seed: number): Random {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const VERSIONS = [
  "v0.0.0-20200101000000-aaaaaaaaaaaa",
  "v1.0.0",
  "v1.1.0-rc.1",
  "v1.1.0",
  "v1.2.0",
  "v2.0.0+incompatible",
];
const GO_LINES = [undefined, "1.16", "1.16", "1.17", "1.17", "1.20", "1.21"];

/**
 * Modules that require one another in all the ways that matter to a graph: with and without pruning, tidy and not,
 * in cycles, for tests alone, for nothing at all. Packages import only from modules made before, so there are no
 * import cycles; every import has a requirement.
 */
export function moduleUniverse(pick: Random, shapeOf = anyShape): UniverseModule[] {
  const count = 8 + pick(6);
  const made: UniverseModule[] = [];
  for (let at = 0; at < count; at++) {
    const { path, versions } = shapeOf(at, pick);
    for (const version of versions) {
      made.push(
        universeModule(
          path,
          version,
          made.filter((other) => other.path !== path),
          pick,
        ),
      );
    }
  }
  return made.map((module) => withCycle(module, made, pick));
}

/** A module's path and versions, ascending. */
export type ShapeOf = (
  at: number,
  pick: Random,
) => { readonly path: string; readonly versions: readonly string[] };

const anyShape: ShapeOf = (at, pick) => {
  const path = pick(5) === 0 ? `example.com/Dir/m${at}` : `example.com/m${at}`;
  const versions = VERSIONS.filter(() => pick(5) < 3);
  return { path, versions: versions.length === 0 ? ["v1.0.0"] : versions };
};

/** Now and then a requirement that nothing imports, on any module at all: cycles, even on itself. */
function withCycle(module: UniverseModule, all: readonly UniverseModule[], pick: Random): UniverseModule {
  const target = all[pick(all.length)];
  if (pick(7) > 0 || target === undefined || module.version.endsWith("+incompatible")) return module;
  if (module.require.some(({ path }) => path === target.path)) return module;
  const indirect = module.require.some((r) => r.indirect);
  return { ...module, require: [...module.require, required(target, indirect)] };
}

function universeModule(
  path: string,
  version: string,
  before: readonly UniverseModule[],
  pick: Random,
): UniverseModule {
  const none = { root: [], sub: [], test: [] };
  if (version.endsWith("+incompatible")) return { path, version, go: undefined, require: [], imports: none };
  const go = GO_LINES[pick(GO_LINES.length)];
  const direct = chooseDirect(before, pick);
  const imports = {
    root: direct.filter(() => pick(2) === 0).map((m) => m.path),
    sub: direct.filter(() => pick(2) === 0).map((m) => m.path),
    test: direct.filter(() => pick(3) === 0).map((m) => m.path),
  };
  const isPruned = go !== undefined && compareSemver(`v${go}.0`, "v1.17.0") >= 0;
  const require = isPruned && pick(5) > 0 ? tidied(direct, before) : direct.map((m) => required(m, false));
  return { path, version, go, require, imports };
}

/** A few modules, one version of each. */
export function chooseDirect(before: readonly UniverseModule[], pick: Random): UniverseModule[] {
  const chosen = new Map<string, UniverseModule>();
  for (let n = pick(4); n > 0 && before.length > 0; n--) {
    const module = before[pick(before.length)];
    if (module !== undefined) chosen.set(module.path, module);
  }
  return [...chosen.values()];
}

function required({ path, version }: { path: string; version: string }, indirect: boolean): UniverseRequire {
  return { path, version, indirect };
}

/** What `go mod tidy` lists since go 1.17: every module that provides a package or a test's import. */
function tidied(direct: readonly UniverseModule[], all: readonly UniverseModule[]): UniverseRequire[] {
  const byName = new Map(all.map((m) => [`${m.path}@${m.version}`, m]));
  const highest = new Map<string, UniverseModule>();
  const queue = [...direct];
  const seen = new Set<UniverseModule>();
  for (let module = queue.pop(); module !== undefined; module = queue.pop()) {
    if (seen.has(module)) continue;
    seen.add(module);
    const held = highest.get(module.path);
    if (held === undefined || compareSemver(held.version, module.version) < 0)
      highest.set(module.path, module);
    for (const { path, version } of module.require) {
      const next = byName.get(`${path}@${version}`);
      if (next !== undefined) queue.push(next);
    }
  }
  const providers = new Set(direct.map((m) => m.path));
  for (const path of providers) {
    const module = highest.get(path);
    for (const imported of [...(module?.imports.root ?? []), ...(module?.imports.sub ?? [])])
      providers.add(imported);
  }
  return [...providers].flatMap((path) => {
    const module = highest.get(path);
    return module === undefined ? [] : [required(module, !direct.some((d) => d.path === path))];
  });
}

/** The files of a GOPROXY that has all `modules`. */
export function proxyFiles(modules: readonly UniverseModule[]): Map<string, string | Uint8Array> {
  const files = new Map<string, string | Uint8Array>();
  for (const module of modules) {
    const base = `/${escaped(module.path)}/@v/`;
    const mod = goModText(module.path, module.go, module.require);
    files.set(`${base}${module.version}.mod`, mod);
    files.set(
      `${base}${module.version}.info`,
      JSON.stringify({ Version: module.version, Time: "2020-01-01T00:00:00Z" }),
    );
    files.set(`${base}${module.version}.zip`, moduleZip(module, mod));
    const listed = String(files.get(`${base}list`) ?? "");
    files.set(`${base}list`, module.version.startsWith("v0.0.0-") ? listed : `${listed}${module.version}\n`);
  }
  return files;
}

/** `requests` as they look in a proxy's paths: upper case with `!`. */
export function escaped(path: string): string {
  return path.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
}

export function goModText(path: string, go: string | undefined, require: readonly UniverseRequire[]): string {
  const lines = require.map((r) => `require ${r.path} ${r.version}${r.indirect ? " // indirect" : ""}`);
  return [`module ${path}`, ...(go === undefined ? [] : [`go ${go}`]), ...lines, ""].join("\n");
}

export function moduleZip(module: UniverseModule, mod: string): Buffer {
  const prefix = `${module.path}@${module.version}/`;
  const files = new Map<string, string>();
  if (!module.version.endsWith("+incompatible")) files.set(`${prefix}go.mod`, mod);
  files.set(`${prefix}root.go`, goFile("p", module.imports.root));
  files.set(`${prefix}root_test.go`, goFile("p", module.imports.test));
  files.set(`${prefix}sub/sub.go`, goFile("sub", module.imports.sub));
  files.set(`${prefix}cmd/main.go`, `${goFile("main", [module.path])}func main() {}\n`);
  return storedZip(files);
}

/** A Go file that imports the packages for their sake alone. */
export function goFile(name: string, imports: readonly string[]): string {
  return [`package ${name}`, ...imports.map((path) => `import _ "${path}"`), ""].join("\n");
}
