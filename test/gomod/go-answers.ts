import type { ModuleGraph } from "../../gomod/module-graph.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";

/** `module@version` of each file with this extension that a proxy was asked for, sorted. */
export function askedModules(paths: Iterable<string>, extension: "mod" | "info" | "zip"): string[] {
  const modules: string[] = [];
  for (const asked of paths) {
    if (!asked.endsWith(`.${extension}`)) continue;
    const [path = "", version = ""] = asked.slice(1, -extension.length - 1).split("/@v/");
    modules.push(`${path.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase())}@${version}`);
  }
  return modules.sort();
}

/** `module@version` of each, once, sorted. */
export function moduleNames(...lists: readonly (readonly ModuleVersion[])[]): string[] {
  return [...new Set(lists.flat().map(formatModuleVersion))].sort();
}

/** The lines of `go list -m all` but for the main modules, and directories without where they lie; sorted. */
export function listLines(stdout: string): string[] {
  return stdout
    .trim()
    .split("\n")
    .filter((line) => line.includes(" "))
    .map((line) => line.replace(/ => \S*local$/, " => ./local"))
    .sort();
}

/** The same of a graph. */
export function buildListLines({ buildList }: ModuleGraph): string[] {
  return buildList
    .map(({ path, version, replacement: by }) => {
      const line = `${path} ${version}`;
      return by === undefined ? line : `${line} => ${by.path}${by.version === "" ? "" : ` ${by.version}`}`;
    })
    .sort();
}
