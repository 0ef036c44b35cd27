import { goVersionAtLeast, goVersionOf } from "./go-version.ts";
import type { BuildRequest, MainModule } from "./main-modules.ts";
import {
  describeGraph,
  type GraphOptions,
  GraphReader,
  type ModuleGraph,
  requirementsOf,
  type Selected,
} from "./module-graph.ts";
import { type LoadFailure, type LoadGoMod, prunes } from "./requirements.ts";
import { readRootGraph } from "./root-graph.ts";
import { compareModuleVersions, formatModuleVersion, type ModuleVersion } from "./version.ts";

/** For which go commands a closure suffices: `build` for build, vet and test; `tidy` for all but upgrades; `upgrade`. */
export type Tier = "build" | "tidy" | "upgrade";

/** One module version of a closure: its `.mod` alone, or `whole`: `.info`, `.mod` and `.zip`. */
export interface ClosureFile {
  readonly version: ModuleVersion;
  readonly files: "mod" | "whole";
}

/** All files that a wish needs. */
export interface Closure {
  /** In module.Sort order, each version once. */
  readonly files: readonly ClosureFile[];
  /** S of the wish's graph, replacements under their own names. */
  readonly selected: readonly ModuleVersion[];
  /** Where there is any, the closure is incomplete. */
  readonly failures: readonly LoadFailure[];
  /** As in `ModuleGraph`: where there is any, the closure may be incomplete. */
  readonly unknownDirectories: readonly string[];
}

/**
 * The closure of a project as it stands: the `.mod` of L∪S, and S whole. With that the go command does everything
 * offline that leaves the go.mod file's requirements as they are, tidy included where the file is tidy.
 * A go.mod of go 1.17 needs more: its `go mod tidy` checks that go 1.16 would build the same.
 * At tier `build` only the zips are whole that a recording names; without one, a zip is left out when the go.sum file
 * has no hash for it, for go would refuse to open it; in a workspace only where a go.work.sum is given too, since go adds
 * missing hashes there by itself.
 * @throws as `loadModuleGraph`.
 */
export async function closeBuild(
  request: BuildRequest,
  tier: Tier,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Closure> {
  const requirements = requirementsOf(request, load, options);
  const reader = new GraphReader(requirements, options);
  const selected = await reader.readBuild(request);
  const [main] = request.mains;
  if (tier !== "build" && request.work !== undefined) await readSynced(reader, request, selected);
  const old =
    tier !== "build" && main !== undefined && request.work === undefined && isTidiedForGo116(main)
      ? await reader.readModule(main, true)
      : undefined;
  const graph = describeGraph(requirements, selected);
  const isOpened = tier === "build" ? zipsWithHash(request) : undefined;
  const whole = graph.selected.filter((module) => isOpened?.(module) ?? true);
  return closureOf(graph, old === undefined ? whole : [...whole, ...rivals(old, selected)]);
}

/**
 * Reads what `go work sync` reads: the graph of each module with the workspace's versions of all that provide a package
 * that its packages, their tests and the tests of what they import need (workcmd.runSync, modload.EditBuildList). For
 * want of a file go leaves the module as it is, and says nothing. What only tests of dependencies import is in no go.mod;
 * the go.sum has its zip's hash.
 */
async function readSynced(reader: GraphReader, { mains }: BuildRequest, selected: Selected): Promise<void> {
  for (const { goMod, goSum } of mains) {
    const required = new Set(goMod.require.map(({ path }) => path));
    const providers = [...selected.values()].filter(({ path, version, source }) => {
      if (version === "" || source === undefined) return false;
      return required.has(path) || (goSum?.hashes(source.path, source.version, "zip").length ?? 0) > 0;
    });
    if (prunes(goMod)) await reader.readPruned(providers);
    else await reader.readTogether(providers, "unpruned");
  }
}

/**
 * Whether `go mod tidy` reads the module's graph without pruning too: unless told otherwise it keeps a module of go
 * 1.17 usable with the version before (modload.LoadPackages, TidyCompatibleVersion). From 1.18 on that one prunes
 * as well, from 1.21 on there is no such check.
 */
function isTidiedForGo116({ goMod }: MainModule): boolean {
  return prunes(goMod) && !goVersionAtLeast(goVersionOf(goMod), "1.18");
}

/**
 * The modules of the graph without pruning whose zips that check opens: where a module's path begins another's, go
 * looks into both for a package (modload.importFromModules).
 */
function* rivals(old: Selected, selected: Selected): Iterable<ModuleVersion> {
  const paths = new Set(selected.keys());
  const parents = new Set([...paths].flatMap((path) => [...parentPaths(path)]));
  for (const node of old.values()) {
    if (node.source === undefined || selected.get(node.path) === node) continue;
    const hasParent = [...parentPaths(node.path)].some((parent) => paths.has(parent));
    if (hasParent || parents.has(node.path)) yield node.source;
  }
}

function* parentPaths(path: string): Iterable<string> {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
    yield path.slice(0, end);
}

/** The closure of a wish `module@version` alone; see `closeRoots`. */
export function closeRoot(
  root: ModuleVersion,
  tier: Tier,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Closure> {
  return closeRoots([root], tier, load, options);
}

/**
 * The closure of wishes `module@version` together: with it `go get` of them in an empty module, build, vet, tidy,
 * download all, list -m all and vendor of whatever imports their packages, and `go install` of their commands work
 * offline; see `readRootGraph`. Both tiers are the same here: which zips an import opens is not known.
 * @throws as `loadModuleGraph`.
 */
export async function closeRoots(
  roots: readonly ModuleVersion[],
  _tier: Tier,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Closure> {
  const requirements = requirementsOf({ mains: [] }, load, options);
  const wished = roots.map(({ path, version }) => requirements.node(path, version));
  const { selected, selectable } = await readRootGraph(requirements, wished, options);
  const whole = [...selectable].flatMap(({ source }) => source ?? []);
  return closureOf(describeGraph(requirements, selected), whole);
}

/** Joins a graph's L∪S with the versions that are wanted whole. */
export function closureOf(graph: ModuleGraph, whole: Iterable<ModuleVersion>): Closure {
  const files = new Map<string, ClosureFile>();
  for (const version of graph.loaded) files.set(formatModuleVersion(version), { version, files: "mod" });
  for (const version of graph.selected) files.set(formatModuleVersion(version), { version, files: "mod" });
  for (const version of whole) files.set(formatModuleVersion(version), { version, files: "whole" });
  return {
    files: [...files.values()].sort((a, b) => compareModuleVersions(a.version, b.version)),
    selected: graph.selected,
    failures: graph.failures,
    unknownDirectories: graph.unknownDirectories,
  };
}

/** Tells the zips that a recording names or a go.sum has a hash for; undefined where it is not known which zips go opens. */
function zipsWithHash(request: BuildRequest): ((module: ModuleVersion) => boolean) | undefined {
  const { openedZips } = request;
  if (openedZips !== undefined) return (module) => openedZips.has(formatModuleVersion(module));
  const sums = request.mains.map(({ goSum }) => goSum);
  if (request.work !== undefined) sums.push(request.workSum);
  if (sums.includes(undefined)) return undefined;
  return ({ path, version }) => sums.some((sum) => (sum?.hashes(path, version, "zip").length ?? 0) > 0);
}
