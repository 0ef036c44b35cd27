import pLimit from "p-limit";
import { closeRoot } from "../gomod/closure.ts";
import { withRoots } from "../gomod/combination.ts";
import { FormatError } from "../gomod/format-error.ts";
import { closeFullGraph } from "../gomod/full-graph.ts";
import type { BuildRequest } from "../gomod/module-graph.ts";
import { closeUpgrades } from "../gomod/upgrade.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { Collected } from "./collected-closure.ts";
import { asMirrorError } from "./errors.ts";
import type { GoModLoader } from "./go-mod-loader.ts";
import type { RequestBody } from "./requests.ts";
import type { UpstreamLists } from "./version-lists.ts";

/** Graphs loaded at a time: each may hold some thousands of nodes. */
const GRAPHS_AT_ONCE = 16;

/** A project, wishes, or both where they are used together. */
export interface Start {
  readonly build: BuildRequest | undefined;
  readonly roots: readonly ModuleVersion[];
}

/** What a request's upgrades and full graphs start from. */
export function startsOf(
  builds: readonly BuildRequest[],
  roots: readonly ModuleVersion[],
  together: boolean,
): Start[] {
  const projects = builds.map((build) => ({ build, roots: together ? roots : [] }));
  if (roots.length === 0 || (together && builds.length > 0)) return projects;
  const wishes = together ? [roots] : roots.map((root) => [root]);
  return [...projects, ...wishes.map((some) => ({ build: undefined, roots: some }))];
}

/**
 * Adds what a request's tier and graph want beyond its own graphs. Each version that the lists are to offer is closed as
 * any other root: whoever takes it from the list can use it, in this project or another.
 */
export async function addBeyond(
  collected: Collected,
  starts: readonly Start[],
  { tier, graph }: Pick<RequestBody, "tier" | "graph">,
  loader: GoModLoader,
  lists: UpstreamLists,
): Promise<void> {
  const limit = pLimit(GRAPHS_AT_ONCE);
  const attempt = async (subject: string, close: () => Promise<void>) => {
    if ((loader.outOfTime ?? lists.outOfTime) !== undefined) return;
    try {
      await close();
    } catch (thrown) {
      // A graph too large to be one.
      if (!(thrown instanceof FormatError)) throw thrown;
      collected.fail(subject, asMirrorError(thrown, subject));
    }
  };
  if (tier === "upgrade") {
    const offered = new Map<string, ModuleVersion>();
    await limit.map(starts, ({ build, roots }) =>
      attempt("upgrades", async () => {
        const { closure, listed } = await closeUpgrades(build, roots, lists, loader.load);
        collected.addBeyond(closure);
        for (const version of listed) offered.set(formatModuleVersion(version), version);
      }),
    );
    await limit.map(
      [...offered].filter(([, root]) => !collected.hasRoot(root)),
      ([name, root]) =>
        attempt(name, async () => collected.addOffered(root, await closeRoot(root, tier, loader.load))),
    );
    for (const problem of lists.problems) collected.fail(problem.subject, problem);
  }
  if (graph === "full") {
    await limit.map(starts, ({ build, roots }) =>
      attempt("full graph", async () =>
        collected.addBeyond(await closeFullGraph(withRoots(build, roots), loader.load)),
      ),
    );
  }
}
