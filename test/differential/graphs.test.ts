import pLimit from "p-limit";
import { afterAll, expect, test } from "vitest";
import { loadModuleGraph } from "../../gomod/module-graph.ts";
import { describeWithGo } from "../go-command.ts";
import { askedModules, buildListLines, listLines, moduleNames } from "../gomod/go-answers.ts";
import { cleanUp, goProject } from "../gomod/go-project.ts";
import { moduleUniverse, proxyFiles, random } from "../gomod/module-universe.ts";
import { buildRequest, loadFrom, randomProject } from "../gomod/project-files.ts";
import { startRecordingProxy } from "../gomod/recording-proxy.ts";
import { seed } from "./seed.ts";
import { tally } from "./tally.ts";

/** Each is another universe of modules with another project: pruned and not, replaced, excluded, workspaces. */
const GRAPHS = Number(process.env.MODFERRY_GRAPHS ?? 2);
/** The go command is what takes the time; it uses both cores for a moment only. */
const AT_ONCE = 2;

afterAll(cleanUp);

describeWithGo("the module graph of random modules", () => {
  test(`is what go mod graph and go list -m all say (${GRAPHS} graphs)`, async () => {
    const slot = pLimit(AT_ONCE);
    const seeds = Array.from({ length: GRAPHS }, (_, at) => (seed + at) % 2 ** 31);
    await Promise.all(seeds.map((one) => slot(() => compareGraph(one))));
  });
});

async function compareGraph(one: number): Promise<void> {
  const universe = moduleUniverse(random(one));
  // Not the universe's own numbers again: they would choose the same in both.
  const project = randomProject(universe, random(one ^ 0x5bd1e995));
  const files = proxyFiles(universe);
  const graph = await loadModuleGraph(buildRequest(project), loadFrom(files));
  const proxy = await startRecordingProxy(files);
  try {
    const go = await goProject(proxy.url, project);
    await go.go("mod", "graph");
    const asked = askedModules(proxy.take(), "mod");
    expect({ one, asked }).toEqual({ one, asked: moduleNames(graph.loaded) });
    const list = await go.go("list", ...("go.work" in project ? [] : ["-mod=mod"]), "-m", "all");
    expect({ one, project, list: listLines(list) }).toEqual({ one, project, list: buildListLines(graph) });
    expect(graph.failures).toEqual([]);
    tally("graph", 2);
  } finally {
    await proxy.close();
  }
}
