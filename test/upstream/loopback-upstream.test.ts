import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { goClient } from "../go-client.ts";
import { describeWithGo } from "../go-command.ts";
import { type LoopbackUpstream, startUpstream } from "./loopback-upstream.ts";
import { fillModuleCache } from "./module-cache.ts";
import { sampleProjects } from "./sample-projects.ts";

/** Builds from a cold build cache take half a minute, more where other suites share the cores. */
const GO_RUN_MS = 240_000;
const MAX_PROJECT_ZIP_BYTES = 25_000_000;
const names = sampleProjects().map(({ name }) => name);

async function treeSize(upstream: LoopbackUpstream): Promise<number> {
  const head = await (await fetch(`${upstream.url}/sumdb/${upstream.sumdbName}/latest`)).text();
  return Number(head.split("\n")[1]);
}

async function goSumLines(project: string): Promise<string[]> {
  return (await readFile(join(project, "go.sum"), "utf8")).trimEnd().split("\n");
}

describeWithGo("the loopback upstream", () => {
  let tree: string;
  let upstream: LoopbackUpstream;

  beforeAll(async () => {
    tree = await fillModuleCache(...names);
    upstream = await startUpstream({ trees: [tree] });
  });
  afterAll(() => upstream?.close());

  test.each(names)(
    "%s downloads, builds, vets and stays tidy, with the private database and nothing else",
    async (name) => {
      const client = await goClient({ goproxy: upstream.url, gosumdb: upstream.vkey });
      try {
        const cwd = await client.copyProject(name);
        const before = await readFile(join(cwd, "go.mod"), "utf8");
        const committed = await goSumLines(cwd);
        for (const args of [
          ["mod", "download", "all"],
          ["build", "./..."],
          ["vet", "./..."],
          ["mod", "tidy"],
        ]) {
          expect(await client.run(args, { cwd }), args.join(" ")).toMatchObject({ code: 0 });
        }
        expect(await readFile(join(cwd, "go.mod"), "utf8")).toBe(before);
        expect(await goSumLines(cwd)).toEqual(committed);
      } finally {
        await client.dispose();
      }
    },
    GO_RUN_MS,
  );

  test.each(names)(
    "the private database gives %s the same hashes as the public one, for less than 25 MB of zips",
    async (name) => {
      const client = await goClient({
        goproxy: upstream.url,
        gosumdb: upstream.vkey,
        env: { GOFLAGS: "-mod=mod" },
      });
      try {
        const cwd = await client.copyProject(name);
        const committed = await goSumLines(cwd);
        await rm(join(cwd, "go.sum"));
        await upstream.reset();
        expect(await client.run(["mod", "download", "all"], { cwd })).toMatchObject({ code: 0 });
        expect(await goSumLines(cwd)).toEqual(expect.arrayContaining(committed));
        const { kinds, paths } = await upstream.counts();
        expect(kinds.lookup).toBeGreaterThanOrEqual(kinds.zip ?? 0);
        expect(kinds.supported).toBe(1);
        const zips = Object.keys(paths).filter((path) => path.endsWith(".zip"));
        expect(zips.length).toBe(kinds.zip);
        const sizes = await Promise.all(zips.map(async (zip) => (await stat(join(tree, zip))).size));
        expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MAX_PROJECT_ZIP_BYTES);
      } finally {
        await client.dispose();
      }
    },
    GO_RUN_MS,
  );

  test("counts each path and kind, until it is reset", async () => {
    await upstream.reset();
    const toml = `${upstream.url}/github.com/%21burnt%21sushi/toml`;
    for (const path of [
      "@v/list",
      "@latest",
      "@v/v1.3.2.info",
      "@v/v1.3.2.mod",
      "@v/v1.3.2.mod",
      "@v/v1.3.2.zip",
    ]) {
      const response = await fetch(`${toml}/${path}`);
      expect([path, response.status]).toEqual([path, 200]);
      await response.arrayBuffer();
    }
    const counts = await upstream.counts();
    expect(counts.kinds).toEqual({ list: 1, latest: 1, info: 1, mod: 2, zip: 1 });
    expect(counts.paths["/github.com/!burnt!sushi/toml/@v/v1.3.2.mod"]).toBe(2);
    await upstream.reset();
    expect(await upstream.counts()).toEqual({ paths: {}, kinds: {} });
  });

  test.each([
    "github.com/%21burnt%21sushi/toml/@v/v1.3.2.ziphash",
    "github.com/BurntSushi/toml/@v/v1.3.2.mod",
    "github.com/%21burnt%21sushi/toml/@v/v99.0.0.mod",
    "example.com/none/@v/list",
    "%2e%2e/%2e%2e/@v/list",
    "sumdb/other.example.test/supported",
    "sumdb/sumdb.example.test/lookup/example.com/none@v1.0.0",
    "sumdb/sumdb.example.test/tile/8/0/009",
  ])("answers 404 for %s", async (path) => {
    expect((await fetch(`${upstream.url}/${path}`)).status).toBe(404);
  });
});

describeWithGo("a loopback upstream with a large database", () => {
  const modules = ["github.com/BurntSushi/toml@v1.3.2", "github.com/VividCortex/ewma@v1.2.0"];
  const options = { modules, preset: true, synthetic: 100_000, oldHeads: true, seed: "large" };
  let upstream: LoopbackUpstream;

  beforeAll(async () => {
    upstream = await startUpstream({ ...options, trees: [await fillModuleCache("shouting")] });
  });
  afterAll(() => upstream?.close());

  test("holds the synthetic records and the named versions, and only these are whole", async () => {
    expect(await treeSize(upstream)).toBe(100_002);
    const status = async (path: string) => (await fetch(`${upstream.url}/${path}`)).status;
    expect(await status("github.com/%21vivid%21cortex/ewma/@v/v1.2.0.zip")).toBe(200);
    expect(await status("github.com/%21puerkito%21bio/purell/@v/v1.2.1.mod")).toBe(200);
    expect(await status("github.com/%21puerkito%21bio/purell/@v/v1.2.1.zip")).toBe(404);
    expect(await status("github.com/%21puerkito%21bio/purell/@v/list")).toBe(404);
  });

  test("lets lookups carry older heads that stay, and the go command verifies across them", async () => {
    const lookup = async (m: string) => {
      const escaped = m.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);
      return (await fetch(`${upstream.url}/sumdb/${upstream.sumdbName}/lookup/${escaped}`)).text();
    };
    const synthetic = Array.from(
      { length: 40 },
      (_, index) => `synthetic.example.test/m${index * 2500}@v1.0.0`,
    );
    const sizes = new Set<number>();
    for (const m of [...modules, ...synthetic]) {
      const [id = "", , , , , size = ""] = (await lookup(m)).split("\n");
      expect(Number(size)).toBeGreaterThan(Number(id));
      sizes.add(Number(size));
      expect(await lookup(m)).toBe(await lookup(m));
    }
    expect(sizes.size).toBeGreaterThan(8);

    const client = await goClient({ goproxy: upstream.url, gosumdb: upstream.vkey });
    try {
      await upstream.reset();
      expect(await client.run(["mod", "download", ...modules])).toMatchObject({ code: 0 });
      expect((await upstream.counts()).kinds.tile).toBeGreaterThan(4);
    } finally {
      await client.dispose();
    }
  });

  test("has the same key and records after a restart with the same seed, and grows when told to", async () => {
    const again = await startUpstream({ ...options, trees: [await fillModuleCache("shouting")] });
    try {
      expect(again.vkey).toBe(upstream.vkey);
      const path = `/sumdb/${upstream.sumdbName}/latest`;
      expect(await (await fetch(again.url + path)).text()).toBe(
        await (await fetch(upstream.url + path)).text(),
      );
      await again.grow(300);
      expect(await treeSize(again)).toBe(100_302);
    } finally {
      await again.close();
    }
    await expect(fetch(again.url)).rejects.toThrow();
  });
});
