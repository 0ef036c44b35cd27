import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { cleanUp, goProject } from "../gomod/go-project.ts";
import { escaped, goFile, proxyFiles } from "../gomod/module-universe.ts";
import { type RecordingProxy, startRecordingProxy } from "../gomod/recording-proxy.ts";
import { modules } from "../gomod/small-universe.ts";

const TIMEOUT = 120_000;

/**
 * a → d v1.0.0 → e v1.0.0, and b → c → d v1.2.0, of which c imports d/sub alone. Where both are used, d v1.2.0's root
 * package is imported, and with it e v1.5.0, whose own requirement is read then: it is older than pruning.
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
const A = "example.com/a@v1.0.0";
const B = "example.com/b@v1.0.0";

interface Line {
  readonly module: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly neededBy?: string;
}

describeWithGo("modferry closure A B", () => {
  const files = proxyFiles(universe);
  let upstream: RecordingProxy;
  beforeAll(async () => {
    upstream = await startRecordingProxy(files);
  });
  afterAll(() => upstream?.close());
  afterEach(cleanUp);

  const closure = async (...args: string[]) => {
    const run = await modferry(["closure", ...args, "--upstream", upstream.url, "--no-sumdb", "*"]);
    expect([run.code, run.stderr]).toEqual([0, ""]);
    return run.stdout.trimEnd().split("\n");
  };
  const jsonClosure = async (...args: string[]) =>
    (await closure(...args, "--json")).map((line) => JSON.parse(line) as Line);

  /** What a module needs of these alone that imports the named ones. */
  const build = async (lines: readonly Line[], ...names: string[]): Promise<string> => {
    const held = lines.flatMap(({ module, version, files: kinds }) =>
      kinds.map((kind) => `/${escaped(module)}/@v/${version}.${kind}`),
    );
    const proxy = await startRecordingProxy(new Map([...files].filter(([path]) => held.includes(path))));
    try {
      const paths = names.map((name) => `example.com/${name}`);
      const project = await goProject(proxy.url, {
        "go.mod": `module example.com/main\n\ngo 1.21\n\n${paths.map((path) => `require ${path} v1.0.0\n`).join("")}`,
        "main.go": `${goFile("main", paths)}\nfunc main() {}\n`,
      });
      await project.go("mod", "tidy");
      await project.go("build", "./...");
      return "builds";
    } finally {
      await proxy.close();
    }
  };

  test(
    "names what lacks for both: each alone builds, both fail without what is named, and build with it",
    async () => {
      const [ofA, ofB, both] = [await jsonClosure(A), await jsonClosure(B), await jsonClosure(A, B)];
      expect([...ofA, ...ofB].filter(({ neededBy }) => neededBy !== undefined)).toEqual([]);
      expect(await build(ofA, "a")).toBe("builds");
      expect(await build(ofB, "b")).toBe("builds");
      await expect(build([...ofA, ...ofB], "a", "b")).rejects.toThrow("example.com/g/@v/v1.0.0.mod: 404");

      const named = both.filter(({ neededBy }) => neededBy === "together");
      expect(named.map(({ module, version }) => `${module} ${version}`)).toEqual(["example.com/g v1.0.0"]);
      expect(await build([...ofA, ...ofB, ...named], "a", "b")).toBe("builds");
    },
    TIMEOUT,
  );

  test(
    "names it for a project and a wish, too",
    async () => {
      const project = await goProject(upstream.url, {
        "go.mod":
          "module example.com/main\n\ngo 1.21\n\nrequire example.com/a v1.0.0\n\nrequire (\n\texample.com/d v1.0.0 // indirect\n\texample.com/e v1.0.0 // indirect\n)\n",
      });
      const lines = await jsonClosure(join(project.dir, "go.mod"), B);
      const named = lines.filter(({ neededBy }) => neededBy === "together");
      expect(named.map(({ module, version }) => `${module} ${version}`)).toContain("example.com/g v1.0.0");
    },
    TIMEOUT,
  );

  test(
    "marks them in plain output, and marks nothing where nothing lacks",
    async () => {
      expect((await closure(A, B)).filter((line) => line.endsWith(" together"))).toEqual([
        "example.com/g@v1.0.0 info,mod,zip together",
      ]);
      expect((await closure(A)).filter((line) => line.endsWith(" together"))).toEqual([]);
    },
    TIMEOUT,
  );
});
