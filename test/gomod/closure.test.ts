import { afterEach, expect, test } from "vitest";
import { closeBuild, closeRoots } from "../../gomod/closure.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, type GoProject, goProject } from "./go-project.ts";
import {
  escaped,
  goFile,
  moduleUniverse,
  proxyFiles,
  type Random,
  random,
  type UniverseModule,
} from "./module-universe.ts";
import { buildRequest, closurePaths, loadFrom } from "./project-files.ts";
import { type ProxyFiles, type RecordingProxy, startRecordingProxy } from "./recording-proxy.ts";
import { succeeds, tidyProject } from "./tidy-project.ts";

/** Each makes another universe of modules; any number may be tried. */
const SEEDS = Array.from({ length: Number(process.env.GRAPH_SEEDS ?? 25) }, (_, at) => at + 1);
/** Not every random choice is something that go can build. */
const TRIES = 5;

afterEach(cleanUp);

describeWithGo("a closure in a random universe", () => {
  test.each(SEEDS)("has all that a tidy module's commands ask, and no more (seed %i)", async (seed) => {
    const pick = random(seed);
    const universe = moduleUniverse(pick);
    const files = proxyFiles(universe);
    const proxy = await startRecordingProxy(files);
    try {
      const project = await tidyProject(universe, proxy, pick);
      const held = closurePaths((await closeBuild(buildRequest(project), "tidy", loadFrom(files))).files);
      proxy.serve(new Map([...files].filter(([path]) => held.has(path))));
      proxy.take();
      const offline = await goProject(proxy.url, project);
      await everyCommand(offline);
      const asked = askedFiles(proxy);
      expect(asked.filter((path) => !held.has(path))).toEqual([]);
      expect([...held].filter((path) => !asked.includes(path))).toEqual([]);
    } finally {
      await proxy.close();
    }
  });

  test.each(SEEDS)("of roots has all that a module asks which imports from each (seed %i)", async (seed) => {
    const pick = random(seed + 1_000_000);
    const universe = moduleUniverse(pick);
    const files = proxyFiles(universe);
    const proxy = await startRecordingProxy(files);
    try {
      for (let tries = 0, built = 0; tries < TRIES && built === 0; tries++) {
        const roots = chooseRoots(universe, pick);
        const closure = await closeRoots(
          roots.map(({ path, version }) => moduleVersion(path, version)),
          "tidy",
          loadFrom(files),
        );
        const held = closurePaths(closure.files);
        proxy.serve(listingOnly(roots, files));
        proxy.take();
        // Whether go gets through or not: nothing that there is may be asked in vain.
        if (await succeeds(() => useRoots(proxy, roots, pick))) built++;
        expect(askedFiles(proxy).filter((path) => files.has(path) && !held.has(path))).toEqual([]);
      }
    } finally {
      await proxy.close();
    }
  });
});

async function everyCommand(project: GoProject): Promise<void> {
  await project.go("mod", "tidy");
  await project.go("mod", "graph");
  await project.go("list", "-deps", "-test", "./...");
  await project.go("vet", "-n", "./...");
  await project.go("list", "-m", "all");
  await project.go("mod", "vendor");
  await project.go("mod", "download", "all");
}

/** `go get` of the roots in an empty module, then a package that imports from each, then their commands alone. */
async function useRoots(
  proxy: RecordingProxy,
  roots: readonly UniverseModule[],
  pick: Random,
): Promise<void> {
  const names = roots.map(({ path, version }) => `${path}@${version}`);
  const imports = roots.flatMap(
    ({ path }) => [[path], [`${path}/sub`], [path, `${path}/sub`]][pick(3)] ?? [],
  );
  const project = await goProject(proxy.url, { "go.mod": "module example.com/main\n\ngo 1.21\n" });
  await project.go("get", ...names);
  await project.go("list", "-m", "all");
  await project.go("mod", "download", "all");
  await project.write({ "main.go": goFile("main", imports) });
  await everyCommand(project);
  const outside = await goProject(proxy.url, {});
  for (const { path, version } of roots) await outside.go("install", "-n", `${path}/cmd@${version}`);
}

function chooseRoots(universe: readonly UniverseModule[], pick: Random): UniverseModule[] {
  const withGoMod = universe.filter(({ version }) => !version.endsWith("+incompatible"));
  const byPath = new Map<string, UniverseModule>();
  for (let n = 1 + pick(3); n > 0; n--) {
    const module = withGoMod[pick(withGoMod.length)];
    if (module !== undefined) byPath.set(module.path, module);
  }
  return [...byPath.values()];
}

/** The universe as a mirror of these roots lists it: every module is known, and only the roots are listed. */
function listingOnly(roots: readonly UniverseModule[], files: ProxyFiles): ProxyFiles {
  const served = new Map(
    [...files].map(([path, body]) => [path, path.endsWith("/list") ? "" : body] as const),
  );
  for (const { path, version } of roots) served.set(`/${escaped(path)}/@v/list`, `${version}\n`);
  return served;
}

function askedFiles(proxy: RecordingProxy): string[] {
  return [...proxy.take()].filter((path) => /\.(mod|info|zip)$/.test(path));
}
