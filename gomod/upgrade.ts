import { type Closure, closureOf } from "./closure.ts";
import { withRoots } from "./combination.ts";
import { DroppedRequirements } from "./dropped-requirements.ts";
import type { BuildRequest } from "./main-modules.ts";
import { describeGraph, type GraphOptions, GraphReader, requirementsOf } from "./module-graph.ts";
import type { LoadGoMod } from "./requirements.ts";
import { UpgradeOffers } from "./upgrade-offers.ts";
import { UpgradedProject } from "./upgraded-project.ts";
import type { ModuleVersion } from "./version.ts";
import type { VersionLists } from "./version-query.ts";

/** What a project needs to be upgraded offline. */
export interface Upgrades {
  /**
   * Beyond the closure of the build as it stands: what the upgraded project and the steps to it read. It is whole
   * together with the closures of `listed`, each as a root of its own (closeRoot).
   */
  readonly closure: Closure;
  /** What the lists must name, besides any other versions that they name. */
  readonly listed: readonly ModuleVersion[];
}

/** Projects have at most some thousands of modules, new ones by upgrades included. */
const MOST_MODULES = 10_000;

/**
 * What these commands need offline beyond tier tidy, recorded with go 1.26.8 and read in its sources:
 *
 * - `list -m -u all` asks of each path in S, and of what replaces it, the list, the highest version's `.mod` (for
 *   retractions and deprecation), and the `.info` of the upgrade; `@latest` only where the list has nothing to take.
 * - `get -u ./...` asks the same of each module that provides an imported package (of any platform, without tests),
 *   and of every path that begins a package's path, where 404 is as good an answer. It takes all upgrades of what
 *   is imported so far at once, reads the graph anew, and starts again with what that imports, until nothing changes.
 *   It opens the zips of the versions on the way too: those that the upgraded modules require, before these are
 *   upgraded themselves. `-u=patch` is the same with the newest patch of the version in use.
 * - `get M@latest`, `@upgrade` and `@patch` ask the list of M and of the paths that begin it, the zip of each such
 *   module there is, and the graph with it.
 * - `install M@latest` asks the list, the highest version's `.mod`, and the graph of M.
 *
 * So every path in S is listed, and every path that upgrades bring in. What a new version imports is not known without
 * its zip; a module is taken to come in where an upgraded version requires it, and the version before did not. A path
 * that is found in no go.mod (a package that became a module of its own, say) is not found here either: offline, `get
 * -u` leaves it where it is. `list -m -versions` prints what is listed, not all that there is.
 * @param request undefined for a new module that requires the roots
 * @param roots wishes `module@version` that the project requires besides
 * @throws as `loadModuleGraph`; FormatError for upgrades that lead to more modules than a project can have.
 */
export async function closeUpgrades(
  request: BuildRequest | undefined,
  roots: readonly ModuleVersion[],
  lists: VersionLists,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Upgrades> {
  const joined = withRoots(request, roots);
  const dropped = new DroppedRequirements(joined, load);
  const requirements = requirementsOf(joined, dropped.load, options);
  const reader = new GraphReader(requirements, options);
  const offers = new UpgradeOffers(joined, requirements, load, lists, MOST_MODULES);
  const before = await reader.readBuild(joined);
  // As `go mod tidy` leaves it, the module that requires the roots requires all that they list, too.
  const wished = roots.map(({ path, version }) => requirements.node(path, version));
  const imported = wished.flatMap((root) => root.requires ?? []);
  const project = new UpgradedProject(requirements, reader, offers, joined, before, imported);
  await project.offerAll();
  await project.upgrade("upgrade");
  await project.upgrade("patch");
  await project.offerDropped(dropped.paths);
  await project.readAlternatives();
  const whole = [...project.selectable].flatMap(({ source }) => source ?? []);
  return {
    closure: closureOf(describeGraph(requirements, before), whole),
    listed: [...offers.named.values()],
  };
}
