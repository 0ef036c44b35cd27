import { comparePaths } from "../gomod/module-path.ts";
import { compareModuleVersions, formatModuleVersion } from "../gomod/version.ts";
import type { ClosureFile, Need, RootClosure } from "./closure-file.ts";

/**
 * A closure that could not be loaded to its end, with what an earlier one of the same request knows besides. A graph of
 * which a go.mod is missing for now is smaller than it is: without the earlier one's roots nobody would find which lists
 * a block, or a loss, takes something from.
 */
export function joinedClosure(closure: ClosureFile, earlier: ClosureFile): ClosureFile {
  const roots = new Map<string, RootClosure>();
  for (const { root, needs } of [...earlier.roots, ...closure.roots]) {
    const name = formatModuleVersion(root);
    roots.set(name, { root, needs: joinedNeeds(roots.get(name)?.needs ?? [], needs) });
  }
  return {
    ...closure,
    needs: joinedNeeds(earlier.needs, closure.needs),
    roots: [...roots].sort(([a], [b]) => comparePaths(a, b)).map(([, root]) => root),
  };
}

function joinedNeeds(some: readonly Need[], others: readonly Need[]): Need[] {
  const needs = new Map<string, Need>();
  for (const need of [...some, ...others]) {
    const name = formatModuleVersion(need.version);
    const known = needs.get(name);
    needs.set(name, known === undefined ? need : larger(known, need));
  }
  return [...needs.values()].sort((a, b) => compareModuleVersions(a.version, b.version));
}

const OWN = ["nothing", "mod", undefined] as const;

/** As much of it as either needs, and as much for the request's own sake. */
function larger(a: Need, b: Need): Need {
  const own = OWN[Math.max(OWN.indexOf(a.own), OWN.indexOf(b.own))];
  const extent = a.extent === "whole" ? a.extent : b.extent;
  return { version: a.version, extent, ...(own === undefined ? {} : { own }) };
}
