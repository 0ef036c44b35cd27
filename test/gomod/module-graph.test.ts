import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { loadModuleGraph } from "../../gomod/module-graph.ts";
import { escapePath } from "../../gomod/module-path.ts";
import { escapeVersion, type ModuleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { askedModules, buildListLines, listLines, moduleNames } from "./go-answers.ts";
import { cleanUp, goProject } from "./go-project.ts";
import { moduleUniverse, proxyFiles, random } from "./module-universe.ts";
import { buildRequest, loadFrom, randomProject } from "./project-files.ts";
import { startRecordingProxy } from "./recording-proxy.ts";

/** Each makes another universe of modules and another project; any number may be tried. */
const SEEDS = Array.from({ length: Number(process.env.GRAPH_SEEDS ?? 40) }, (_, at) => at + 1);

afterEach(cleanUp);

describeWithGo("the module graph of random modules", () => {
  test.each(SEEDS)("is what go mod graph, list -m all and mod download all read (seed %i)", async (seed) => {
    const pick = random(seed);
    const files = proxyFiles(moduleUniverse(pick));
    const project = randomProject(moduleUniverse(random(seed)), pick);
    const graph = await loadModuleGraph(buildRequest(project), loadFrom(files));
    expect(graph.failures).toEqual([]);

    const proxy = await startRecordingProxy(files);
    const run = async (...args: string[]) => {
      const fresh = await goProject(proxy.url, project);
      const stdout = await fresh.go(...args);
      return { stdout, asked: proxy.take() };
    };
    try {
      expect(askedModules((await run("mod", "graph")).asked, "mod")).toEqual(moduleNames(graph.loaded));

      const list = await run("list", ...("go.work" in project ? [] : ["-mod=mod"]), "-m", "all");
      expect(listLines(list.stdout)).toEqual(buildListLines(graph));

      const { asked } = await run("mod", "download", "all");
      expect(askedModules(asked, "mod")).toEqual(moduleNames(graph.loaded, graph.selected));
      expect(askedModules(asked, "zip")).toEqual(moduleNames(graph.selected));
      expect(askedModules(asked, "info")).toEqual(moduleNames(graph.selected));
    } finally {
      await proxy.close();
    }
  });
});

describeWithGo("the module graph of real modules", () => {
  test.each(["small", "medium"])("selects what go mod download all fetches (%s)", async (corpus) => {
    const tree = await fillModuleCache(corpus);
    const load = async ({ path, version }: ModuleVersion) => {
      const file = join(tree, escapePath(path), "@v", `${escapeVersion(version)}.mod`);
      return parseGoMod("go.mod", readFileSync(file), "lax");
    };
    const goMod = parseGoMod("go.mod", readFileSync(join(projectDir(corpus), "go.mod")), "strict");
    const graph = await loadModuleGraph({ mains: [{ name: "go.mod", goMod }] }, load);
    const expected = readFileSync(join(projectDir(corpus), "modules.txt"), "utf8")
      .trim()
      .split("\n");
    expect(moduleNames(graph.selected)).toEqual(expected.sort());
    expect(graph.failures).toEqual([]);
  });
});
