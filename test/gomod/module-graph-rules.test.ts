import { describe, expect, test } from "vitest";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { loadModuleGraph } from "../../gomod/module-graph.ts";
import { formatModuleVersion } from "../../gomod/version.ts";
import { moduleNames } from "./go-answers.ts";
import { goModText, proxyFiles } from "./module-universe.ts";
import { loadFrom } from "./project-files.ts";
import { main, modules } from "./small-universe.ts";

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
