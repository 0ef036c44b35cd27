import type { ClosureFile } from "../../gomod/closure.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import type { BuildRequest } from "../../gomod/module-graph.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import { chooseDirect, escaped, type Random, type UniverseModule } from "./module-universe.ts";
import type { ProxyFiles } from "./recording-proxy.ts";

/** A Go project's files by name; a directory `local` is there for replace lines to name. */
export type ProjectFiles = Readonly<Record<string, string>>;

/** One module, or now and then a workspace of two, with requirements on some of the universe. */
export function randomProject(universe: readonly UniverseModule[], pick: Random): ProjectFiles {
  if (pick(4) > 0) return randomModule(universe, pick);
  return {
    "go.work": `go 1.26\nuse ./a\nuse ./b\n${replaceLines(universe, pick)}`,
    "a/go.mod": goModText("example.com/main/a", universe, pick),
    "b/go.mod": goModText("example.com/main/b", universe, pick),
    "local/go.mod": "module example.com/local\n",
  };
}

export function randomModule(universe: readonly UniverseModule[], pick: Random): ProjectFiles {
  const local = chooseDirect(universe, pick).map((m) => `require ${m.path} ${m.version}\n`);
  return {
    "go.mod": goModText("example.com/main", universe, pick) + replaceLines(universe, pick),
    "local/go.mod": `module example.com/local\n${local.join("")}`,
  };
}

function goModText(path: string, universe: readonly UniverseModule[], pick: Random): string {
  const go = [undefined, "1.16", "1.17", "1.21", "1.26"][pick(5)];
  const lines = [`module ${path}`, ...(go === undefined ? [] : [`go ${go}`])];
  for (const m of [...chooseDirect(universe, pick), ...chooseDirect(universe, pick)]) {
    lines.push(`require ${m.path} ${m.version}${pick(3) === 0 ? " // indirect" : ""}`);
  }
  for (const m of pick(2) === 0 ? chooseDirect(universe, pick) : [])
    lines.push(`exclude ${m.path} ${m.version}`);
  return `${lines.join("\n")}\n`;
}

/** By a version of the same module, or by a directory; for one version of a module, for all, or both differently. */
function replaceLines(universe: readonly UniverseModule[], pick: Random): string {
  let lines = "";
  for (const m of pick(2) === 0 ? chooseDirect(universe, pick) : []) {
    const versions = universe.filter((other) => other.path === m.path);
    const olds = [[m.path], [`${m.path} ${m.version}`], [m.path, `${m.path} ${m.version}`]][pick(3)] ?? [];
    for (const old of olds) {
      const by = versions[pick(versions.length)];
      lines += `replace ${old} => ${pick(3) === 0 || by === undefined ? "./local" : `${by.path} ${by.version}`}\n`;
    }
  }
  return lines;
}

export function buildRequest(project: ProjectFiles): BuildRequest {
  const goMods = Object.entries(project).filter(([name]) => /^(a\/|b\/|)go\.mod$/.test(name));
  const mains = goMods.map(([name, text]) => ({ name, goMod: parseGoMod(name, text, "strict") }));
  const directories = new Map([["./local", parseGoMod("go.mod", project["local/go.mod"] ?? "", "lax")]]);
  const work = project["go.work"];
  return work === undefined
    ? { mains, directories }
    : { mains, directories, work: parseGoWork("go.work", work) };
}

/** Reads go.mod files from a proxy's files. */
export function loadFrom(files: ProxyFiles) {
  return async ({ path, version }: ModuleVersion) => {
    const text = files.get(`/${escaped(path)}/@v/${version}.mod`);
    if (text === undefined) throw new Error(`${path}@${version}: no such module`);
    return parseGoMod("go.mod", text, "lax");
  };
}

/** The files of a closure, as a proxy is asked for them. */
export function closurePaths(files: readonly ClosureFile[]): Set<string> {
  return new Set(
    files.flatMap(({ version: { path, version }, files: extent }) =>
      (extent === "whole" ? ["info", "mod", "zip"] : ["mod"]).map(
        (kind) => `/${escaped(path)}/@v/${version}.${kind}`,
      ),
    ),
  );
}
