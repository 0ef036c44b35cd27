import { type Closure, closureOf } from "./closure.ts";
import type { GoMod } from "./go-mod.ts";
import type { BuildRequest, MainModule } from "./main-modules.ts";
import { describeGraph, type GraphOptions, GraphReader, requirementsOf } from "./module-graph.ts";
import type { LoadGoMod } from "./requirements.ts";
import { readSelectable } from "./root-graph.ts";
import type { ModuleVersion } from "./version.ts";

/** The go line of a module that is made new today; any from 1.17 on reads the same graph. */
const NEW_MODULE: GoMod = {
  go: "1.21",
  require: [],
  exclude: [],
  replace: [],
  retract: [],
  tool: [],
  ignore: [],
  godebug: [],
};

/** The build after `go get` of the roots; without a main module, in a new one. */
export function withRoots(request: BuildRequest | undefined, roots: readonly ModuleVersion[]): BuildRequest {
  const { mains, ...rest } = request ?? { mains: [{ name: "go.mod", goMod: NEW_MODULE }] };
  const added = roots.map(({ path, version }) => ({ path, version, indirect: false }));
  const joined = mains.map((main): MainModule => {
    return { ...main, goMod: { ...main.goMod, require: [...main.goMod.require, ...added] } };
  });
  return { ...rest, mains: joined };
}

/**
 * The closure of a project and wishes `module@version` together, as `go get` of them in the project makes it: with the
 * project's own closure and that of each wish, it suffices for whatever of the wishes' packages the project then
 * imports; see `readRootGraph`. A wish below what the project selects is not downgraded to. Where the project excludes
 * the only version at which anything requires a provider of theirs, go passes over that requirement: `go build` then says
 * that no module provides the package, and `go mod tidy` or `go get` looks for one in lists, as `module@latest`
 * (modload.queryImport, with CheckAllowed). Which version that is hangs on what upstream lists, as an upgrade does, and so
 * it belongs to tier upgrade: `closeUpgrades` of the project with the wishes has it.
 * @throws as `loadModuleGraph`.
 */
export async function closeTogether(
  request: BuildRequest,
  roots: readonly ModuleVersion[],
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Closure> {
  const joined = withRoots(request, roots);
  const requirements = requirementsOf(joined, load, options);
  const reader = new GraphReader(requirements, options);
  const selected = await reader.readBuild(joined);
  const required = request.mains.flatMap(({ goMod }) => requirements.nodesOf(goMod));
  const wished = roots.map(({ path, version }) => requirements.node(path, version));
  const selectable = await readSelectable(reader, selected, required, wished);
  const whole = [...selected.values(), ...selectable].flatMap(({ source }) => source ?? []);
  return closureOf(describeGraph(requirements, selected), whole);
}
