import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { type ClosureFile, closeBuild, closeRoot } from "../../gomod/closure.ts";
import { type BuildListEntry, loadModuleGraph } from "../../gomod/module-graph.ts";
import { compareSemver } from "../../gomod/semver.ts";
import { closeUpgrades } from "../../gomod/upgrade.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, goProject } from "./go-project.ts";
import { type Random, random } from "./module-universe.ts";
import { buildRequest, closurePaths, loadFrom, type ProjectFiles } from "./project-files.ts";
import { type ProxyFiles, type RecordingProxy, startRecordingProxy } from "./recording-proxy.ts";
import { listsFrom, releaseUniverse, servedByMirror } from "./release-universe.ts";
import { tidyProject } from "./tidy-project.ts";

/** In it a requirement of what `get M@latest` imports is excluded, and the module replaced. */
const EXCLUDED_AND_REPLACED = 215;

/** Each makes another universe of modules and another project; any number may be tried. */
const SEEDS = [
  ...new Set([
    ...Array.from({ length: Number(process.env.GRAPH_SEEDS ?? 12) }, (_, at) => at + 1),
    EXCLUDED_AND_REPLACED,
  ]),
];

/** Without -mod=mod it wants a go.sum. */
const LIST_UPGRADES = "list -mod=mod -m -u all";

afterEach(cleanUp);

describeWithGo("the upgrades of a project in a random universe", () => {
  let tried = 0;
  let compared = 0;

  test.each(SEEDS)("are offline what they are online (seed %i)", { timeout: 240_000 }, async (seed) => {
    const pick = random(seed);
    const universe = releaseUniverse(pick);
    const proxy = await startRecordingProxy(universe.files);
    try {
      const project = await tidyProject(universe.modules, proxy, pick);
      const { buildList } = await loadModuleGraph(buildRequest(project), loadFrom(universe.files));
      const commands = upgradeCommands(
        buildList.map(({ path }) => path),
        pick,
      );
      const online = await resultsOf(proxy, project, commands);
      proxy.serve(await mirrored(project, universe.files));
      const offline = await resultsOf(proxy, project, commands);
      expect(online.get(LIST_UPGRADES), "what needs no luck works").not.toMatch(/^failed/);
      for (const command of commands.keys()) {
        tried++;
        const expected = online.get(command) ?? "";
        // Going back asks for lower versions, which are not listed.
        if (expected.startsWith("failed") || goesBack(command, buildList, expected)) continue;
        expect([command, offline.get(command)]).toEqual([command, expected]);
        compared++;
      }
    } finally {
      await proxy.close();
    }
  });

  test("are compared for at least half of the commands: what fails online shows nothing", () => {
    expect(tried).toBeGreaterThan(0);
    expect(compared).toBeGreaterThanOrEqual(tried / 2);
  });

  test.each([
    ["go.work", "go 1.21\n\nuse .\n\nreplace example.com/m v1.0.9 => ./local\n", "", "v1.0.1"],
    ["go.mod", "go 1.21\n\nuse .\n", "\nreplace example.com/m v1.0.9 => ./local\n", "v1.0.9"],
  ])("take a version that only a replace line has, in a %s, as go does", async (_, work, line, expected) => {
    const files = new Map<string, string>([["/example.com/m/@v/list", "v1.0.0\nv1.0.1\nv1.2.0\n"]]);
    for (const version of ["v1.0.0", "v1.0.1", "v1.2.0"]) {
      files.set(`/example.com/m/@v/${version}.mod`, "module example.com/m\n\ngo 1.21\n");
      files.set(`/example.com/m/@v/${version}.info`, info(version));
    }
    const project = {
      "go.work": work,
      "go.mod": `module example.com/main\n\ngo 1.21\n\nrequire example.com/m v1.0.0\n${line}`,
      "local/go.mod": "module example.com/m\n\ngo 1.21\n",
    };
    const proxy = await startRecordingProxy(files);
    try {
      const { go } = await goProject(proxy.url, project);
      const taken = await go("list", "-m", "-f", "{{.Version}}", "example.com/m@patch");
      expect(taken.trim()).toBe(expected);
    } finally {
      await proxy.close();
    }
    const { listed } = await closeUpgrades(buildRequest(project), [], listsFrom(files), loadFrom(files));
    // What go takes is listed wherever upstream has it.
    const upstreams = expected === "v1.0.9" ? [] : [`example.com/m@${expected}`];
    expect(listed.map(formatModuleVersion).sort()).toEqual([...upstreams, "example.com/m@v1.2.0"]);
  });
});

/** Whether `get M@latest` took a lower version of M, or did without it. */
function goesBack(command: string, before: readonly BuildListEntry[], after: string): boolean {
  const path = /^get (\S+)@latest$/.exec(command)?.[1];
  const version = before.find((entry) => entry.path === path)?.version;
  if (path === undefined || version === undefined) return false;
  const left = after.split("\n").find((line) => line.startsWith(`${path} `));
  return left === undefined || compareSemver(left.split(" ")[1] ?? "", version) < 0;
}

/** What a mirror serves that was asked for the project at tier upgrade. */
async function mirrored(project: ProjectFiles, files: ProxyFiles): Promise<ProxyFiles> {
  const load = loadFrom(files);
  const request = buildRequest(project);
  const { closure, listed } = await closeUpgrades(request, [], listsFrom(files), load);
  const needed: ClosureFile[] = [...(await closeBuild(request, "tidy", load)).files, ...closure.files];
  for (const version of listed) needed.push(...(await closeRoot(version, "tidy", load)).files);
  return await servedByMirror(files, closurePaths(needed), listed.map(formatModuleVersion));
}

const info = (version: string) => JSON.stringify({ Version: version, Time: "2020-01-01T00:00:00Z" });

/** Each command line, and whether it runs in the project or outside of any. */
function upgradeCommands(used: readonly string[], pick: Random): Map<string, "inside" | "outside"> {
  const commands = new Map<string, "inside" | "outside">([
    [LIST_UPGRADES, "inside"],
    ["get -u ./...", "inside"],
    ["get -u=patch ./...", "inside"],
  ]);
  for (let n = 0; n < 2; n++) {
    const path = used[pick(used.length)];
    if (path === undefined) break;
    for (const query of ["latest", "upgrade", "patch"]) commands.set(`get ${path}@${query}`, "inside");
    commands.set(`install -n ${path}/cmd@latest`, "outside");
  }
  return commands;
}

/** What each command prints, and leaves in go.mod, from an empty cache; `failed: …` where it fails. */
async function resultsOf(
  proxy: RecordingProxy,
  project: ProjectFiles,
  commands: ReadonlyMap<string, "inside" | "outside">,
): Promise<Map<string, string>> {
  const results = new Map<string, string>();
  for (const [command, where] of commands) {
    const fresh = await goProject(proxy.url, where === "inside" ? project : {});
    try {
      const stdout = await fresh.go(...command.split(" "));
      if (where === "outside") {
        results.set(command, "installed");
        continue;
      }
      let after = "";
      if (command.startsWith("get ")) {
        await fresh.go("mod", "tidy");
        after = `${readFileSync(join(fresh.dir, "go.mod"), "utf8")}${await fresh.go("list", "-m", "all")}`;
      }
      results.set(command, stdout.replaceAll(fresh.dir, "") + after);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("go "))) throw error;
      results.set(command, `failed: ${error.message}`);
    }
  }
  return results;
}
