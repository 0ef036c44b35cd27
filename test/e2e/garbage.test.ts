import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const TIMEOUT = 280_000;
const PROJECTS = ["legacy", "modern", "shouting"] as const;
/** Of the legacy project alone; the modern one has another version of it, or none. */
const OWN = ["github.com/dgrijalva/jwt-go/@v/v3.2.0+incompatible", "gopkg.in/ini.v1/@v/v1.67.0"];

describeWithGo("an embedded mirror of three projects, of which one is dropped", () => {
  let world: MirrorWorld;
  let mirror: string;
  let config: string;

  beforeAll(async () => {
    world = await mirrorWorld([...PROJECTS]);
    mirror = await world.folder();
    config = join(await world.folder(), "mirror.json");
    const garbage = { review: "0m", caches: "0m", largestShare: 0.3 };
    await writeFile(
      config,
      JSON.stringify({
        name: "desk",
        upstreams: [{ name: "loopback", url: world.upstream.url }],
        sumdb: [{ key: world.upstream.vkey }],
        sumdbTiles: "needed",
        garbage,
      }),
    );
    for (const project of PROJECTS) await sync(project);
  }, TIMEOUT);
  afterAll(() => world?.close());

  const sync = async (project: string) => {
    const args = ["sync", "--config", config, "--mirror", mirror, "--name", `team/${project}`];
    expectSuccess(await modferry([...args, join(projectDir(project), "go.mod")]), `sync ${project}`);
  };
  const gc = (...more: string[]) => modferry(["gc", "--config", config, "--mirror", mirror, ...more]);
  const files = async () => (await readdir(join(mirror, "tree"), { recursive: true })).sort();
  const isThere = (all: readonly string[], name: string) => all.some((file) => file.startsWith(name));
  const moduleFiles = (all: readonly string[]) => all.filter((file) => /\.(?:zip|mod|info)$/.test(file));

  const verified = async () =>
    expectSuccess(await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]), "verify");
  const builds = async (project: string) => {
    const client = await world.client(`file://${join(mirror, "tree")}`);
    const copy = await client.copyProject(project);
    for (const command of ["build ./...", "mod tidy", "list -m all", "mod download all"]) {
      await client.clearModCache();
      await allSucceed(client, copy, [command]);
    }
  };

  test(
    "the first run changes nothing that a client sees, and says what it has chosen",
    async () => {
      const before = await files();
      const none = await gc();
      expectSuccess(none, "gc");
      expect(none.stderr).toContain("nothing to collect among");
      expect(await files()).toEqual(before);
      const tried = await gc("--drop", "team/none");
      expect([tried.code, tried.stderr]).toEqual([2, expect.stringContaining("no request of that name")]);
      const would = await gc("--dry-run");
      expect(would.stderr).toContain("nothing to collect among");

      const chosen = await gc("--drop", "team/legacy");
      // More than 30 % of what is held.
      expect([chosen.code, chosen.stderr]).toEqual([1, expect.stringContaining("gc --approve ")]);
      const [, run = ""] = /gc --approve (\d{8}T\d{9}Z)/.exec(chosen.stderr) ?? [];
      const list = await readFile(join(mirror, `vault/garbage/${run}.ndjson`), "utf8");
      expect(list).toContain('{"module":"github.com/dgrijalva/jwt-go","version":"v3.2.0+incompatible"');
      expect(await files()).toEqual(before);
      expectSuccess(await gc("--approve", run), "gc --approve");
    },
    TIMEOUT,
  );

  test(
    "then its versions go off their lists, and by the next run their files are gone; the others build from empty caches, and verify has no findings",
    async () => {
      await verified();
      const off = await files();
      for (const name of OWN) expect(isThere(off, `${name}.zip`)).toBe(true);
      expect(await readFile(join(mirror, "tree/gopkg.in/ini.v1/@v/list"), "utf8")).toBe("");

      expectSuccess(await gc("--json"), "gc");
      const after = await files();
      for (const name of OWN)
        for (const file of [".zip", ".mod", ".info"]) expect(isThere(after, `${name}${file}`)).toBe(false);
      expect(moduleFiles(after).length).toBeLessThan(moduleFiles(off).length * 0.9);
      // Heads, tiles and lookups stay.
      const sumdb = (all: readonly string[]) => all.filter((file) => file.startsWith("sumdb/"));
      expect(sumdb(after)).toEqual(sumdb(off));
      await verified();
      for (const project of ["modern", "shouting"]) await builds(project);
    },
    TIMEOUT,
  );

  test(
    "later runs find nothing more, and what was collected comes back when it is synced again",
    async () => {
      for (let n = 0; n < 3; n++) expectSuccess(await gc(), "gc");
      const last = await gc();
      expect(last.stderr).toContain("nothing to collect among");
      await sync("legacy");
      await verified();
      for (const project of PROJECTS) await builds(project);
    },
    TIMEOUT,
  );
});
