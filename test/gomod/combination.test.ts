import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Closure, closeBuild, closeRoot } from "../../gomod/closure.ts";
import { closeTogether, withRoots } from "../../gomod/combination.ts";
import { closeFullGraph } from "../../gomod/full-graph.ts";
import type { BuildRequest } from "../../gomod/module-graph.ts";
import { compareSemver } from "../../gomod/semver.ts";
import { closeUpgrades } from "../../gomod/upgrade.ts";
import { formatModuleVersion, type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, goProject } from "./go-project.ts";
import {
  goFile,
  moduleUniverse,
  proxyFiles,
  type Random,
  random,
  type UniverseModule,
} from "./module-universe.ts";
import { buildRequest, closurePaths, loadFrom, type ProjectFiles } from "./project-files.ts";
import { type ProxyFiles, startRecordingProxy } from "./recording-proxy.ts";
import { listsFrom, servedByMirror } from "./release-universe.ts";
import { main, modules } from "./small-universe.ts";
import { tidyProject } from "./tidy-project.ts";

/** Each makes another universe of modules, another project and another wish; any number may be tried. */
const SEEDS = Array.from({ length: Number(process.env.GRAPH_SEEDS ?? 12) }, (_, at) => at + 1);

afterEach(cleanUp);

/**
 * a imports d, which imports e; b imports c, which imports of a newer d one package alone, that imports nothing. Only
 * where both are used is e v1.5.0 imported, and so what it requires read, for it is older than pruning.
 */
const universe = modules(
  "g v1.0.0 1.16",
  "e v1.0.0 1.21",
  "e v1.5.0 1.16: g v1.0.0",
  "d v1.0.0 1.21: e v1.0.0 | e",
  "d v1.2.0 1.21: e v1.5.0 | e",
  "c v1.0.0 1.21: d v1.2.0 | d/sub",
  "a v1.0.0 1.21: d v1.0.0, e v1.0.0 indirect | d",
  "b v1.0.0 1.21: c v1.0.0, d v1.2.0 indirect | c",
);
const files = proxyFiles(universe);
const load = loadFrom(files);
const B = moduleVersion("example.com/b", "v1.0.0");
const requiresA =
  "go 1.21\n\nrequire example.com/a v1.0.0\n\nrequire (\n\texample.com/d v1.0.0 // indirect\n\texample.com/e v1.0.0 // indirect\n)\n";

/** `go get b` and an import of it, in a project that imports a, from these closures alone. */
async function getB(closures: readonly Closure[]): Promise<string> {
  const held = closurePaths(closures.flatMap((closure) => closure.files));
  const proxy = await startRecordingProxy(listing(files, held, ["example.com/b v1.0.0"]));
  try {
    const project = await goProject(proxy.url, {
      "go.mod": `module example.com/main\n\n${requiresA}`,
      "main.go": goFile("main", ["example.com/a"]),
    });
    await project.go("mod", "tidy");
    await project.go("get", "example.com/b@v1.0.0");
    await project.write({ "main.go": goFile("main", ["example.com/a", "example.com/b"]) });
    await project.go("mod", "tidy");
    await project.go("mod", "download", "all");
    return readFileSync(join(project.dir, "go.mod"), "utf8");
  } finally {
    await proxy.close();
  }
}

function listing(from: ProxyFiles, held: ReadonlySet<string>, listed: readonly string[]): ProxyFiles {
  const served = new Map([...from].filter(([path]) => held.has(path)));
  for (const line of listed) served.set(`/${line.split(" ")[0]}/@v/list`, `${line.split(" ")[1]}\n`);
  return served;
}

describeWithGo("a project and a wish", () => {
  const project: BuildRequest = { mains: [main(requiresA)] };

  test("whose closures are both held do not suffice for `go get` of the wish in the project", async () => {
    const separate = [await closeBuild(project, "tidy", load), await closeRoot(B, "tidy", load)];
    await expect(getB(separate)).rejects.toThrow("example.com/g/@v/v1.0.0.mod: 404");
  });

  test("suffice for it with their closure together", async () => {
    const separate = [await closeBuild(project, "tidy", load), await closeRoot(B, "tidy", load)];
    expect(await getB([...separate, await closeTogether(project, [B], load)])).toContain(
      "example.com/e v1.5.0",
    );
  });
});

describeWithGo("a project that a wish raises a requirement of", () => {
  // p v1.2.0 imports q, which the project does not require; c of b imports p/sub alone. q is older than pruning.
  const raised = proxyFiles(
    modules(
      "r v1.0.0 1.16",
      "q v1.0.0 1.16: r v1.0.0",
      "p v1.0.0 1.21",
      "p v1.2.0 1.21: q v1.0.0 | q",
      "c v1.0.0 1.21: p v1.2.0 | p/sub",
      "b v1.0.0 1.21: c v1.0.0, p v1.2.0 indirect | c",
    ),
  );
  const text = "go 1.21\n\nrequire example.com/p v1.0.0\n";
  const project: BuildRequest = { mains: [main(text)] };

  test.each([
    ["fails to import both from their closures", false],
    ["imports both with their closure together", true],
  ])("%s", async (_, together) => {
    const from = loadFrom(raised);
    const closures = [await closeBuild(project, "tidy", from), await closeRoot(B, "tidy", from)];
    if (together) closures.push(await closeTogether(project, [B], from));
    const held = closurePaths(closures.flatMap((closure) => closure.files));
    const proxy = await startRecordingProxy(listing(raised, held, ["example.com/b v1.0.0"]));
    try {
      const made = await goProject(proxy.url, {
        "go.mod": `module example.com/main\n\n${text}`,
        "main.go": goFile("main", ["example.com/p", "example.com/b"]),
      });
      await made.go("get", "example.com/b@v1.0.0").catch(() => "tidy says it, too");
      const tidy = made.go("mod", "tidy");
      if (together) await tidy;
      else await expect(tidy).rejects.toThrow("example.com/r/@v/v1.0.0.mod: 404");
    } finally {
      await proxy.close();
    }
  });
});

describeWithGo("a project that excludes the only version which provides a package of a wish", () => {
  const excluded = proxyFiles(
    modules("p v1.0.0 1.21", "p v1.1.0 1.21", "p v1.2.0 1.21", "b v1.0.0 1.21: p v1.1.0 | p"),
  );
  const text = "go 1.21\n\nexclude example.com/p v1.1.0\n";
  const project: BuildRequest = { mains: [main(text)] };
  const tidied = async (served: ProxyFiles) => {
    const proxy = await startRecordingProxy(served);
    try {
      const made = await goProject(proxy.url, {
        "go.mod": `module example.com/main\n\n${text}`,
        "main.go": goFile("main", ["example.com/b"]),
      });
      await made.go("get", "example.com/b@v1.0.0").catch(() => "tidy says it, too");
      await made.go("mod", "tidy");
      await made.go("mod", "download", "all");
      return readFileSync(join(made.dir, "go.mod"), "utf8");
    } finally {
      await proxy.close();
    }
  };

  /** A build goes by what is required, and looks for nothing. */
  const builtAsItStands = async (served: ProxyFiles) => {
    const proxy = await startRecordingProxy(served);
    try {
      const made = await goProject(proxy.url, {
        "go.mod": `module example.com/main\n\n${text}\nrequire example.com/b v1.0.0\n`,
        "main.go": goFile("main", ["example.com/b"]),
      });
      await made.go("mod", "download", "all");
      return await made.go("list", "-deps", "./...");
    } finally {
      await proxy.close();
    }
  };

  test("takes another from the list, which is there at tier upgrade and not below", async () => {
    const from = loadFrom(excluded);
    const closures = [
      await closeBuild(project, "tidy", from),
      await closeRoot(B, "tidy", from),
      await closeTogether(project, [B], from),
    ];
    const online = await tidied(excluded);
    expect(online).toContain("example.com/p v1.2.0");
    await expect(builtAsItStands(excluded)).rejects.toThrow(
      "no required module provides package example.com/p",
    );
    const below = closurePaths(closures.flatMap((closure) => closure.files));
    await expect(tidied(listing(excluded, below, ["example.com/b v1.0.0"]))).rejects.toThrow(
      "cannot find module providing package example.com/p",
    );
    expect(await tidied(await atTierUpgrade(excluded, project, B, closures))).toBe(online);
  });
});

/** What a mirror serves at tier upgrade of a project with a wish, whose closures at tier tidy are these. */
async function atTierUpgrade(
  all: ProxyFiles,
  project: BuildRequest,
  root: ModuleVersion,
  closures: readonly Closure[],
): Promise<ProxyFiles> {
  const from = loadFrom(all);
  const { closure, listed } = await closeUpgrades(project, [root], listsFrom(all), from);
  const offered = await Promise.all(listed.map((version) => closeRoot(version, "upgrade", from)));
  const held = closurePaths([...closures, closure, ...offered].flatMap(({ files: needed }) => needed));
  return await servedByMirror(all, held, [root, ...listed].map(formatModuleVersion));
}

describeWithGo("a random project and a random wish", () => {
  test.each(SEEDS)("build together from their closures (seed %i)", { timeout: 120_000 }, async (seed) => {
    const pick = random(seed + 2_000_000);
    const made = moduleUniverse(pick);
    const all = proxyFiles(made);
    const proxy = await startRecordingProxy(all);
    try {
      const project = await tidyProject(made, proxy, pick);
      const wish = chooseWish(made, pick);
      const root = moduleVersion(wish.path, wish.version);
      const request = buildRequest(project);
      const from = loadFrom(all);
      const closures = [
        await closeBuild(request, "tidy", from),
        await closeRoot(root, "tidy", from),
        await closeTogether(request, [root], from),
      ];
      const online = await useTogether(proxy.url, project, wish);
      const held = closurePaths(closures.flatMap((closure) => closure.files));
      const looksForProvider = losesProvider(request, closures);
      proxy.serve(
        looksForProvider
          ? await atTierUpgrade(all, request, root, closures)
          : listing(all, held, [`${wish.path} ${wish.version}`]),
      );
      if (online !== undefined && !wentBack(online, wish) && !isBelowProject(closures[0], wish))
        expect(await useTogether(proxy.url, project, wish)).toBe(online);
    } finally {
      await proxy.close();
    }
  });
});

/** What go.mod is then; undefined where go cannot do it. */
async function useTogether(
  url: string,
  project: ProjectFiles,
  { path, version }: UniverseModule,
): Promise<string | undefined> {
  const fresh = await goProject(url, project);
  try {
    await fresh.go("get", `${path}@${version}`);
    await fresh.write({ "more.go": goFile("main", [path, `${path}/sub`]) });
    await fresh.go("mod", "tidy");
    await fresh.go("list", "-deps", "-test", "./...");
    await fresh.go("mod", "download", "all");
    return readFileSync(join(fresh.dir, "go.mod"), "utf8");
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("go ")) return undefined;
    throw error;
  }
}

/** Going back to lower versions of other modules is another request. */
function wentBack(goMod: string, { path, version }: UniverseModule): boolean {
  return !goMod.includes(`${path} ${version}`);
}

/** `go get` then takes what requires more back, to any version, or out of the project (closeTogether). */
function isBelowProject(project: Closure | undefined, { path, version }: UniverseModule): boolean {
  return (project?.files ?? []).some(
    (file) => file.version.path === path && compareSemver(version, file.version.version) < 0,
  );
}

/** Whether it excludes a version that one of the closures selects alone, and together none of the module is selected. */
function losesProvider({ mains }: BuildRequest, closures: readonly Closure[]): boolean {
  const left = new Set<string>(closures[2]?.selected.map(({ path }) => path));
  return mains
    .flatMap(({ goMod }) => goMod.exclude)
    .some(
      ({ path, version }) =>
        !left.has(path) &&
        closures.some(({ selected }) => selected.some((one) => one.path === path && one.version === version)),
    );
}

function chooseWish(all: readonly UniverseModule[], pick: Random): UniverseModule {
  const wish = all[pick(all.length)];
  if (wish === undefined) throw new Error("an empty universe");
  return wish;
}

describe("the full graph", () => {
  const deep = proxyFiles(
    modules(
      "d v1.0.0 1.21",
      "c v1.0.0 1.21: d v1.0.0",
      "b v1.0.0 1.21: c v1.0.0",
      "a v1.0.0 1.21: b v1.0.0",
      "x v1.0.0 1.21: c v1.0.0",
    ),
  );
  const A = moduleVersion("example.com/a", "v1.0.0");

  test("has the .mod of every version that is reached without pruning, and no zip", async () => {
    const { files: all } = await closeFullGraph(withRoots(undefined, [A]), loadFrom(deep));
    expect(all.map(({ version, files: extent }) => `${version.path} ${extent}`)).toEqual(
      ["a", "b", "c", "d"].map((name) => `example.com/${name} mod`),
    );
  });

  test("follows the project's exclusions and replacements", async () => {
    const goMod = main(
      "go 1.21\nrequire example.com/a v1.0.0\nexclude example.com/c v1.0.0\nreplace example.com/b => example.com/x v1.0.0\n",
    );
    const { files: all } = await closeFullGraph({ mains: [goMod] }, loadFrom(deep));
    expect(all.map(({ version }) => version.path)).toEqual(["example.com/a", "example.com/x"]);
  });

  test("is refused in one line beyond its limit", async () => {
    const full = closeFullGraph(withRoots(undefined, [A]), loadFrom(deep), { limit: 2 });
    await expect(full).rejects.toThrow(/^[^\n]*more than 2 go\.mod files$/);
  });

  test("names what it cannot have, and has the rest", async () => {
    const without = new Map([...deep].filter(([path]) => !path.includes("/c/")));
    const { files: all, failures } = await closeFullGraph(withRoots(undefined, [A]), loadFrom(without));
    expect(failures.map(({ path }) => path)).toEqual(["example.com/c"]);
    expect(all.map(({ version }) => version.path)).toContain("example.com/b");
  });
});

describeWithGo("the full graphs of two wishes", () => {
  test("let the graph of any module load that requires both, where their closures alone do not", async () => {
    const roots = [moduleVersion("example.com/a", "v1.0.0"), B];
    const separate = await Promise.all(roots.map((root) => closeRoot(root, "tidy", load)));
    const full = await Promise.all(roots.map((root) => closeFullGraph(withRoots(undefined, [root]), load)));
    const goMod =
      "module example.com/main\n\ngo 1.21\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/b v1.0.0\n\texample.com/d v1.2.0\n\texample.com/e v1.5.0\n)\n";
    const graphFrom = async (closures: readonly Closure[]) => {
      const held = closurePaths(closures.flatMap((closure) => closure.files));
      const proxy = await startRecordingProxy(listing(files, held, []));
      try {
        return await (await goProject(proxy.url, { "go.mod": goMod })).go("mod", "graph");
      } finally {
        await proxy.close();
      }
    };
    await expect(graphFrom(separate)).rejects.toThrow("example.com/g/@v/v1.0.0.mod: 404");
    expect(await graphFrom([...separate, ...full])).toContain("example.com/e@v1.5.0 example.com/g@v1.0.0");
  });
});
