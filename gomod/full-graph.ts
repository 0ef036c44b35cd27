import { type Closure, closureOf } from "./closure.ts";
import type { BuildRequest } from "./main-modules.ts";
import { describeGraph, type GraphOptions, GraphReader, requirementsOf } from "./module-graph.ts";
import type { LoadGoMod } from "./requirements.ts";

/**
 * The `.mod` of every version that is reached from a build's requirements without pruning, under its exclusions and
 * replacements. What any main module reads that requires some of these versions is among them, whatever else it
 * requires of them and however it is pruned: its graph loads.
 * @throws as `loadModuleGraph`; what cannot be had is in `failures`.
 */
export async function closeFullGraph(
  request: BuildRequest,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<Closure> {
  const requirements = requirementsOf(request, load, options);
  const required = request.mains.flatMap(({ goMod }) => requirements.nodesOf(goMod));
  const selected = await new GraphReader(requirements, options).readTogether(required, "unpruned");
  return closureOf(describeGraph(requirements, selected), []);
}
