import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type Closure, closeBuild, closeRoots } from "../../gomod/closure.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { parseGoSum } from "../../gomod/go-sum.ts";
import { parseGoWork } from "../../gomod/go-work.ts";
import { loadModuleGraph } from "../../gomod/module-graph.ts";
import { formatModuleVersion, moduleVersion } from "../../gomod/version.ts";
import { describeWithGo } from "../go-command.ts";
import { moduleNames } from "./go-answers.ts";
import { cleanUp, goProject } from "./go-project.ts";
import { goFile, goModText, proxyFiles, type UniverseModule } from "./module-universe.ts";
import { closurePaths, loadFrom } from "./project-files.ts";
import { startRecordingProxy } from "./recording-proxy.ts";

afterEach(cleanUp);

/** `name version go: requirements` in short: `a v1.0.0 1.21: d v1.0.0, e v1.0.0`. */
function modules(...lines: string[]): UniverseModule[] {
  return lines.map((line) => {
    const [head = "", tail = ""] = line.split(":");
    const [name, version = "", go] = head.trim().split(" ");
    const require = tail
      .split(",")
      .filter((text) => text.trim() !== "")
      .map((text) => {
        const [path = "", wanted = "", indirect] = text.trim().split(" ");
        return { path: `example.com/${path}`, version: wanted, indirect: indirect !== undefined };
      });
    const imports = { root: [], sub: [], test: [] };
    return { path: `example.com/${name}`, version, go, require, imports };
  });
}

function main(text: string) {
  return { name: "go.mod", goMod: parseGoMod("go.mod", `module example.com/main\n${text}`, "strict") };
}

function described(closure: Closure): string[] {
  return closure.files.map(({ version, files }) => `${formatModuleVersion(version).slice(12)} ${files}`);
}

const root = (name: string) => moduleVersion(`example.com/${name}`, "v1.0.0");

/**
 * a imports d, d v1.2.0 imports e v1.5.0; b imports c, which imports d/sub alone and lists no e. Right after `go get`
 * of a or of b, e v1.5.0 is in neither graph, and a module that imports both needs it.
 */
const combination: UniverseModule[] = [
  ...modules("e v1.0.0 1.21", "e v1.5.0 1.21"),
  ...modules("d v1.0.0 1.21: e v1.0.0").map((d) => ({
    ...d,
    imports: { ...d.imports, root: ["example.com/e"] },
  })),
  ...modules("d v1.2.0 1.21: e v1.5.0").map((d) => ({
    ...d,
    imports: { ...d.imports, root: ["example.com/e"] },
  })),
  ...modules("c v1.0.0 1.21: d v1.2.0").map((c) => ({
    ...c,
    imports: { ...c.imports, root: ["example.com/d/sub"] },
  })),
  ...modules("a v1.0.0 1.21: d v1.0.0, e v1.0.0 indirect").map((a) => ({
    ...a,
    imports: { ...a.imports, root: ["example.com/d"] },
  })),
  ...modules("b v1.0.0 1.21: c v1.0.0, d v1.2.0 indirect").map((b) => ({
    ...b,
    imports: { ...b.imports, root: ["example.com/c"] },
  })),
];
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

describe("the module graph", () => {
  test("stops at a pruned dependency of a pruned module, and walks everything below an older one", async () => {
    const files = proxyFiles(
      modules(
        "new v1.0.0 1.17: deep v1.0.0",
        "old v1.0.0 1.16: deep v1.1.0",
        "deep v1.0.0 1.21",
        "deep v1.1.0 1.21: far v1.0.0",
        "far v1.0.0",
      ),
    );
    const graph = (text: string) => loadModuleGraph({ mains: [main(text)] }, loadFrom(files));
    const pruned = await graph("go 1.17\nrequire example.com/new v1.0.0\n");
    expect(moduleNames(pruned.loaded)).toEqual(["example.com/new@v1.0.0"]);
    expect(moduleNames(pruned.selected)).toEqual(["example.com/deep@v1.0.0", "example.com/new@v1.0.0"]);
    const both = await graph("go 1.17\nrequire example.com/new v1.0.0\nrequire example.com/old v1.0.0\n");
    expect(moduleNames(both.loaded)).toEqual([
      "example.com/deep@v1.1.0",
      "example.com/far@v1.0.0",
      "example.com/new@v1.0.0",
      "example.com/old@v1.0.0",
    ]);
  });

  test("goes on without a module that cannot be had, and names it", async () => {
    const files = proxyFiles(
      modules("a v1.0.0 1.21", "b v1.0.0 1.16: gone v1.0.0, a v1.1.0", "a v1.1.0 1.21"),
    );
    files.set("/example.com/wrong/@v/v1.0.0.mod", "module example.com/other\n");
    const graph = await loadModuleGraph(
      {
        mains: [
          main(
            "go 1.21\nrequire example.com/b v1.0.0\nrequire example.com/wrong v1.0.0\nrequire nodot v1.0.0\n",
          ),
        ],
      },
      loadFrom(files),
    );
    expect(graph.failures.map(({ path }) => path)).toEqual([
      "example.com/gone",
      "example.com/wrong",
      "nodot",
    ]);
    expect(String(graph.failures[1]?.error)).toMatch(/declares its path as "example.com\/other"/);
    expect(graph.buildList.find(({ path }) => path === "example.com/a")?.version).toBe("v1.1.0");
  });

  test("asks for each file once, and for many at a time", async () => {
    const wide = modules(
      ...Array.from({ length: 40 }, (_, n) => `m${n} v1.0.0 1.16: m${(n * 7 + 3) % 40} v1.0.0`),
    );
    const load = loadFrom(proxyFiles(wide));
    const asked: string[] = [];
    let inFlight = 0;
    let most = 0;
    const requires = wide.map(({ path }) => `require ${path} v1.0.0\n`).join("");
    await loadModuleGraph(
      { mains: [main(`go 1.21\n${requires}`)] },
      async (module) => {
        asked.push(module.path);
        most = Math.max(most, ++inFlight);
        await new Promise((resolve) => setTimeout(resolve, 1));
        inFlight--;
        return load(module);
      },
      { concurrency: 16 },
    );
    expect(asked.sort()).toEqual(wide.map(({ path }) => path).sort());
    expect(most).toBe(16);
  });

  test("says which replacing directories it does not know, and reads those that are given", async () => {
    const files = proxyFiles(modules("a v1.0.0 1.21"));
    const text = "go 1.21\nrequire example.com/x v1.0.0\nreplace example.com/x => ../x\n";
    const unknown = await loadModuleGraph({ mains: [main(text)] }, loadFrom(files));
    expect(unknown.unknownDirectories).toEqual(["../x"]);
    expect(unknown.selected).toEqual([]);
    const directories = new Map([
      ["../x", parseGoMod("go.mod", "module any\nrequire example.com/a v1.0.0\n", "lax")],
    ]);
    const known = await loadModuleGraph({ mains: [main(text)], directories }, loadFrom(files));
    expect(known.unknownDirectories).toEqual([]);
    expect(moduleNames(known.selected)).toEqual(["example.com/a@v1.0.0"]);
  });

  test("gives up on an upstream that invents modules without end", async () => {
    const endless = async ({ path }: { path: string }) =>
      parseGoMod("go.mod", `module ${path}\nrequire ${path}x v1.0.0\nrequire ${path}y v1.0.0\n`, "lax");
    await expect(
      loadModuleGraph({ mains: [main("require example.com/x v1.0.0\n")] }, endless, { limit: 1000 }),
    ).rejects.toThrow("more than 1000 go.mod files");
  });

  test("of 1,200 versions with 30 requirements each is read in 100 ms", async () => {
    const texts = new Map<string, ReturnType<typeof parseGoMod>>();
    for (let n = 0; n < 400; n++) {
      const require = Array.from({ length: 30 }, (_, k) => ({
        path: `example.com/m${(n * 31 + k * 17) % 400}`,
        version: `v1.${k % 3}.0`,
        indirect: true,
      }));
      for (const v of [0, 1, 2]) {
        texts.set(
          `example.com/m${n}@v1.${v}.0`,
          parseGoMod("go.mod", goModText(`example.com/m${n}`, "1.16", require), "lax"),
        );
      }
    }
    const request = {
      mains: [main(`go 1.21\n${[0, 1, 2].map((v) => `require example.com/m0 v1.${v}.0\n`).join("")}`)],
    };
    const load = async (module: Parameters<typeof formatModuleVersion>[0]) => {
      const goMod = texts.get(formatModuleVersion(module));
      if (goMod === undefined) throw new Error("no such module");
      return goMod;
    };
    const times: number[] = [];
    for (let round = 0; round < 5; round++) {
      const start = process.cpuUsage();
      const graph = await loadModuleGraph(request, load);
      const { user, system } = process.cpuUsage(start);
      times.push((user + system) / 1000);
      expect(graph.loaded.length).toBe(1200);
    }
    expect(Math.min(...times)).toBeLessThan(100);
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

  test("of go 1.17 has the go.mod files that go 1.16 would read, for tidy reads them", async () => {
    const deep = proxyFiles(modules("a v1.0.0 1.17: b v1.0.0", "b v1.0.0 1.17: c v1.0.0", "c v1.0.0 1.17"));
    const request = (go: string) => ({ mains: [main(`go ${go}\nrequire example.com/a v1.0.0\n`)] });
    const newer = ["a@v1.0.0 whole", "b@v1.0.0 whole"];
    expect(described(await closeBuild(request("1.18"), "tidy", loadFrom(deep)))).toEqual(newer);
    expect(described(await closeBuild(request("1.17"), "tidy", loadFrom(deep)))).toEqual([
      ...newer,
      "c@v1.0.0 mod",
    ]);
  });
});
