import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Closure, closeBuild, closeRoots } from "../../gomod/closure.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { parseGoSum } from "../../gomod/go-sum.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { formatModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { askedModules } from "./go-answers.ts";
import { cleanUp, goProject } from "./go-project.ts";
import { goFile, proxyFiles } from "./module-universe.ts";
import { closurePaths, loadFrom } from "./project-files.ts";
import { startRecordingProxy } from "./recording-proxy.ts";
import { main, modules } from "./small-universe.ts";

afterEach(cleanUp);

function described(closure: Closure): string[] {
  return closure.files.map(({ version, files }) => `${formatModuleVersion(version).slice(12)} ${files}`);
}

const root = (name: string) => moduleVersion(`example.com/${name}`, "v1.0.0");

/**
 * a imports d, d v1.2.0 imports e v1.5.0; b imports c, which imports d/sub alone and lists no e. Right after `go get`
 * of a or of b, e v1.5.0 is in neither graph, and a module that imports both needs it.
 */
const combination = modules(
  "e v1.0.0 1.21",
  "e v1.5.0 1.21",
  "d v1.0.0 1.21: e v1.0.0 | e",
  "d v1.2.0 1.21: e v1.5.0 | e",
  "c v1.0.0 1.21: d v1.2.0 | d/sub",
  "a v1.0.0 1.21: d v1.0.0, e v1.0.0 indirect | d",
  "b v1.0.0 1.21: c v1.0.0, d v1.2.0 indirect | c",
);

describeWithGo("two roots whose graphs are both held", () => {
  test.each([
    ["do not suffice for both", false],
    ["suffice for both with the closure of both together", true],
  ])("%s", async (_, together) => {
    const files = proxyFiles(combination);
    const load = loadFrom(files);
    const alone = ["a", "b"].map((name) => ({
      mains: [main(`go 1.21\nrequire example.com/${name} v1.0.0\n`)],
    }));
    const closures = await Promise.all(alone.map((request) => closeBuild(request, "tidy", load)));
    if (together) closures.push(await closeRoots([root("a"), root("b")], "tidy", load));
    const held = closurePaths(closures.flatMap((closure) => closure.files));
    const proxy = await startRecordingProxy(new Map([...files].filter(([path]) => held.has(path))));
    try {
      const project = await goProject(proxy.url, {
        "go.mod":
          "module example.com/main\n\ngo 1.21\n\nrequire example.com/a v1.0.0\nrequire example.com/b v1.0.0\n",
        "main.go": goFile("main", ["example.com/a", "example.com/b"]),
      });
      const tidy = project.go("mod", "tidy");
      if (!together) await expect(tidy).rejects.toThrow("example.com/e/@v/v1.5.0.mod: 404");
      else {
        await tidy;
        expect(readFileSync(join(project.dir, "go.mod"), "utf8")).toContain(
          "example.com/e v1.5.0 // indirect",
        );
      }
    } finally {
      await proxy.close();
    }
  });
});

describeWithGo("the closure of roots", () => {
  test.each([
    [
      "an untidy root, which does not list what its dependency imports",
      ["a"],
      modules(
        "z v1.0.0 1.21",
        "x v1.0.0 1.21: z v1.0.0",
        "r v1.0.0 1.21: x v1.0.0 | x",
        "a v1.0.0 1.21: r v1.0.0 | r",
      ),
    ],
    [
      "a dependency that another root raises to a version with a new import",
      ["a", "b"],
      modules(
        "f v1.0.0 1.21",
        "e v1.0.0 1.21: f v1.0.0",
        "k v1.0.0 1.21",
        "d v1.0.0 1.21",
        "d v1.2.0 1.21: e v1.0.0 | e",
        "c v1.0.0 1.21: d v1.2.0 | d/sub",
        "a v1.0.0 1.21: d v1.0.0, k v1.0.0 indirect | d",
        "b v1.0.0 1.21: c v1.0.0, d v1.2.0 indirect | c",
      ),
    ],
    [
      "a provider older than pruning, with all that is below it",
      ["a"],
      modules(
        "z v1.0.0 1.21",
        "y v1.0.0 1.16: z v1.0.0",
        "o v1.0.0 1.16: y v1.0.0",
        "a v1.0.0 1.21: o v1.0.0, z v1.0.0 indirect | o",
      ),
    ],
  ])("suffices for %s", async (_, roots, universe) => {
    const files = proxyFiles(universe);
    const held = closurePaths((await closeRoots(roots.map(root), "tidy", loadFrom(files))).files);
    const proxy = await startRecordingProxy(new Map([...files].filter(([path]) => held.has(path))));
    try {
      const paths = roots.map((name) => `example.com/${name}`);
      const requires = paths.map((path) => `require ${path} v1.0.0\n`).join("");
      const project = await goProject(proxy.url, {
        "go.mod": `module example.com/main\n\ngo 1.21\n\n${requires}`,
        "main.go": goFile("main", paths),
      });
      await project.go("mod", "tidy");
      await project.go("mod", "download", "all");
    } finally {
      await proxy.close();
    }
  });
});

describeWithGo("the closure of a project", () => {
  test("of go 1.17 suffices for its tidy, which reads what go 1.16 would", async () => {
    const files = proxyFiles(modules("c v1.0.0 1.17", "b v1.0.0 1.17: c v1.0.0", "a v1.0.0 1.17: b v1.0.0"));
    const goMod = (go: string) => `module example.com/main\n\ngo ${go}\n\nrequire example.com/a v1.0.0\n`;
    const asked: Record<string, boolean> = {};
    for (const go of ["1.17", "1.18"]) {
      const request = { mains: [{ name: "go.mod", goMod: parseGoMod("go.mod", goMod(go), "strict") }] };
      const held = closurePaths((await closeBuild(request, "tidy", loadFrom(files))).files);
      const upgraded = closurePaths((await closeBuild(request, "upgrade", loadFrom(files))).files);
      expect([...held].filter((path) => !upgraded.has(path))).toEqual([]);
      const proxy = await startRecordingProxy(new Map([...files].filter(([path]) => held.has(path))));
      try {
        const source = goFile("main", ["example.com/a"]);
        await (await goProject(proxy.url, { "go.mod": goMod(go), "main.go": source })).go("mod", "tidy");
        asked[go] = proxy.take().has("/example.com/c/@v/v1.0.0.mod");
      } finally {
        await proxy.close();
      }
    }
    expect(asked).toEqual({ "1.17": true, "1.18": false });
  });

  test("that is a workspace has what its sync reads below what only a dependency's test imports", async () => {
    const universe = modules("p v1.0.0 1.21", "k v1.0.0 1.16: p v1.0.0", "x v1.0.0 1.21: k v1.0.0").map(
      (module) =>
        module.path === "example.com/x"
          ? { ...module, imports: { ...module.imports, test: ["example.com/k"] } }
          : module,
    );
    const files = proxyFiles(universe);
    const proxy = await startRecordingProxy(files);
    try {
      const goMod = "module example.com/main\n\ngo 1.21\n\nrequire example.com/x v1.0.0\n";
      const goWork = "go 1.21\n\nuse ./a\n";
      const source = { "go.work": goWork, "a/go.mod": goMod, "a/main.go": goFile("main", ["example.com/x"]) };
      const project = await goProject(proxy.url, source);
      await project.go("-C", "a", "mod", "tidy");
      const goSum = parseGoSum("a/go.sum", readFileSync(join(project.dir, "a/go.sum"), "utf8"));
      const mains = [{ name: "a/go.mod", goMod: parseGoMod("a/go.mod", goMod, "strict"), goSum }];
      const request = { mains, work: parseGoWork("go.work", goWork) };
      const held = closurePaths((await closeBuild(request, "tidy", loadFrom(files))).files);
      const fresh = await goProject(proxy.url, source);
      await fresh.write({ "a/go.sum": readFileSync(join(project.dir, "a/go.sum"), "utf8") });
      proxy.take();
      await fresh.go("work", "sync");
      const asked = [...proxy.take()].filter((path) => files.has(path) && !path.endsWith("/list"));
      expect(asked).toContain("/example.com/p/@v/v1.0.0.mod");
      expect(asked.filter((path) => !held.has(path))).toEqual([]);
    } finally {
      await proxy.close();
    }
  });

  test("has the module of the replace line for the very version, before that for all", async () => {
    const files = proxyFiles(modules("a v1.0.0 1.21", "a v1.1.0 1.21", "a v1.2.0 1.21"));
    const text =
      "go 1.21\nrequire example.com/a v1.0.0\n" +
      "replace example.com/a => example.com/a v1.1.0\nreplace example.com/a v1.0.0 => example.com/a v1.2.0\n";
    const closure = await closeBuild({ mains: [main(text)] }, "tidy", loadFrom(files));
    const proxy = await startRecordingProxy(files);
    try {
      await (await goProject(proxy.url, { "go.mod": `module example.com/main\n${text}` })).go(
        "mod",
        "download",
        "all",
      );
      expect(described(closure)).toEqual(["a@v1.2.0 whole"]);
      expect(askedModules(proxy.take(), "zip")).toEqual(["example.com/a@v1.2.0"]);
    } finally {
      await proxy.close();
    }
  });
});

describe("a project's closure", () => {
  const files = proxyFiles(
    modules("a v1.0.0 1.21: b v1.0.0", "b v1.0.0 1.16: c v1.0.0", "b v1.1.0 1.21", "c v1.0.0 1.21"),
  );
  const text = "go 1.21\nrequire example.com/a v1.0.0\nrequire example.com/b v1.0.0\n";
  const hash = "h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  const sum = (name: string) => parseGoSum("go.sum", `example.com/${name} v1.0.0 ${hash}\n`);

  test("at tier build leaves out the zips that go.sum has no hash for", async () => {
    const request = { mains: [{ ...main(text), goSum: sum("a") }] };
    expect(described(await closeBuild(request, "build", loadFrom(files)))).toEqual([
      "a@v1.0.0 whole",
      "b@v1.0.0 mod",
      "c@v1.0.0 mod",
    ]);
    expect(described(await closeBuild(request, "tidy", loadFrom(files)))).toEqual([
      "a@v1.0.0 whole",
      "b@v1.0.0 whole",
      "c@v1.0.0 whole",
    ]);
  });

  test("at tier build without go.sum, or in a workspace without go.work.sum, is that of tier tidy", async () => {
    const tidy = described(await closeBuild({ mains: [main(text)] }, "tidy", loadFrom(files)));
    expect(described(await closeBuild({ mains: [main(text)] }, "build", loadFrom(files)))).toEqual(tidy);
    const work = parseGoWork("go.work", "go 1.21\nuse .\n");
    const workspace = { mains: [{ ...main(text), goSum: sum("a") }], work };
    expect(described(await closeBuild(workspace, "build", loadFrom(files)))).toEqual(tidy);
    expect(
      described(await closeBuild({ ...workspace, workSum: sum("c") }, "build", loadFrom(files))),
    ).toEqual(["a@v1.0.0 whole", "b@v1.0.0 mod", "c@v1.0.0 whole"]);
  });
});
