import { type Closure, closeBuild, closeRoot, type Tier } from "../../gomod/closure.ts";
import { type GoMod, parseGoMod } from "../../gomod/go-mod.ts";
import type { BuildRequest } from "../../gomod/main-modules.ts";
import { escapePath, type ModulePath, modulePath } from "../../gomod/module-path.ts";
import { isPseudoVersion } from "../../gomod/pseudo-version.ts";
import type { LoadGoMod } from "../../gomod/requirements.ts";
import { closeUpgrades } from "../../gomod/upgrade.ts";
import {
  compareVersions,
  escapeVersion,
  formatModuleVersion,
  type ModuleVersion,
} from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { UpstreamLists } from "../../mirror/version-lists.ts";
import { parseWishes } from "../../mirror/wishes.ts";
import { closurePaths } from "../gomod/project-files.ts";
import { requestBody } from "../mirror/request-body.ts";
import type { ProxySource } from "./cached-upstream.ts";
import type { PreparedProject } from "./prepared-project.ts";

/** What a mirror holds of a subject at one tier, and nothing else. */
export interface Prediction {
  /** `.mod`, `.info` and `.zip` by path. */
  readonly files: ReadonlySet<string>;
  /** `@v/list` and `@latest` by path, as a mirror of this subject alone answers them. */
  readonly lists: ReadonlyMap<string, string>;
  /** `module@version` that upstream offers and that cannot be closed, since a go.mod names another module: not listed. */
  readonly unusable: readonly string[];
}

/**
 * Predicts as `modferry closure` does: the files through mirror/'s door, the graph by gomod/.
 * @throws Error where the closure is incomplete.
 */
export async function predict(
  { subject, requestFiles }: PreparedProject,
  tier: Tier,
  upstream: ProxySource,
): Promise<Prediction> {
  const wishes = subject.kind === "wish" ? [subject.module] : [];
  const files = subject.kind === "wish" ? {} : { ...requestFiles };
  const { builds, roots } = parseWishes(requestBody({ together: false, tier, wishes, files }));
  const load = loadFrom(upstream);
  if (tier === "upgrade") return predictUpgrades(subject.name, builds, roots, upstream, load);
  const closures = await Promise.all([
    ...builds.map((build) => closeBuild(build, tier, load)),
    ...roots.map((root) => closeRoot(root, tier, load)),
  ]);
  checkWhole(subject.name, closures);
  return {
    files: closurePaths(closures.flatMap((closure) => closure.files)),
    lists: listsOf(closures, roots),
    unusable: [],
  };
}

/** A project as it stands, its upgrades, and each version that these need listed, as a root of its own. */
async function predictUpgrades(
  name: string,
  builds: readonly BuildRequest[],
  roots: readonly ModuleVersion[],
  upstream: ProxySource,
  load: LoadGoMod,
): Promise<Prediction> {
  const closures = await Promise.all([
    ...builds.map((build) => closeBuild(build, "upgrade", load)),
    ...roots.map((root) => closeRoot(root, "upgrade", load)),
  ]);
  checkWhole(name, closures);
  const listed = [...roots];
  const unusable: string[] = [];
  const lists = listsFrom(upstream);
  const upgrades = await Promise.all([
    ...builds.map((build) => closeUpgrades(build, [], lists, load)),
    ...roots.map((root) => closeUpgrades(undefined, [root], lists, load)),
  ]);
  for (const upgrade of upgrades) {
    closures.push(upgrade.closure);
    for (const root of upgrade.listed) {
      const closure = await closeRoot(root, "upgrade", load);
      if (closure.failures.length > 0) {
        unusable.push(formatModuleVersion(root));
        continue;
      }
      closures.push(closure);
      listed.push(root);
    }
  }
  return {
    files: closurePaths(closures.flatMap((closure) => closure.files)),
    lists: listsOf(closures, listed),
    unusable,
  };
}

function checkWhole(name: string, closures: readonly Closure[]): void {
  for (const { failures, unknownDirectories } of closures) {
    const [failed] = [...failures.map(({ path, version }) => `${path}@${version}`), ...unknownDirectories];
    if (failed !== undefined) throw new Error(`${name}: ${failed} could not be read`);
  }
}

/** Reads go.mod files from a proxy, each once. */
function loadFrom(source: ProxySource): LoadGoMod {
  const loaded = new Map<string, Promise<GoMod>>();
  const read = async (version: ModuleVersion): Promise<GoMod> => {
    const name = formatModuleVersion(version);
    const text = await source.get(`/${escapePath(version.path)}/@v/${escapeVersion(version.version)}.mod`);
    if (text === undefined) throw new Error(`${name}: no such module`);
    return parseGoMod(`${name}.mod`, text, "lax");
  };
  return (version) => {
    const name = formatModuleVersion(version);
    const loading = loaded.get(name) ?? read(version);
    loaded.set(name, loading);
    return loading;
  };
}

/** What upstream lists, as mirror/ asks for it. */
function listsFrom(source: ProxySource): UpstreamLists {
  const file = async (path: ModulePath, name: string) => {
    const text = await source.get(`/${escapePath(path)}/${name}`);
    if (text === undefined) throw new MirrorError("absent", path, `${path}: no ${name}`);
    return text;
  };
  return new UpstreamLists(
    { list: (path) => file(path, "@v/list"), latest: (path) => file(path, "@latest") },
    { remaining: () => Number.POSITIVE_INFINITY },
    () => {},
  );
}

/** Every module of the closure is known, and only `listed` is in its list: no mirror of this subject lists less. */
function listsOf(closures: readonly Closure[], listed: readonly ModuleVersion[]): Map<string, string> {
  const lists = new Map<string, string>();
  for (const { version } of closures.flatMap(({ files }) => files))
    lists.set(`/${escapePath(modulePath(version.path))}/@v/list`, "");
  const unique = [...new Map(listed.map((module) => [formatModuleVersion(module), module])).values()];
  for (const { path, version } of unique.sort((a, b) => compareVersions(a.version, b.version))) {
    const list = `/${escapePath(path)}/@v/list`;
    lists.set(list, `${lists.get(list) ?? ""}${isPseudoVersion(version) ? "" : `${version}\n`}`);
    lists.set(`/${escapePath(path)}/@latest`, JSON.stringify({ Version: version }));
  }
  return lists;
}

/** A mirror that holds just what is predicted; all else is absent, as it is in a closed network. */
export function mirrorOf({ files, lists }: Prediction, upstream: ProxySource): ProxySource {
  return {
    get: async (path) => {
      const list = lists.get(path);
      if (list !== undefined) return new TextEncoder().encode(list);
      return files.has(path) ? upstream.get(path) : undefined;
    },
  };
}

/** An upstream with all of its files, and the lists of a mirror that holds just what is predicted. */
export function listedBy({ lists }: Prediction, upstream: ProxySource): ProxySource {
  return {
    get: async (path) => {
      const list = lists.get(path);
      if (list !== undefined) return new TextEncoder().encode(list);
      return /\/@v\/list$|\/@latest$/.test(path) ? undefined : upstream.get(path);
    },
  };
}
