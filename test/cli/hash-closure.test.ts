import { createHash } from "node:crypto";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";

const TIMEOUT = 120_000;

describeWithGo("modferry hash and closure", () => {
  let world: MirrorWorld;
  let cache: string;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"], { synthetic: 100 });
    cache = await fillModuleCache("shouting");
  });
  afterAll(() => world?.close());

  const escaped = (text: string) => text.replace(/[A-Z]/g, (letter) => `!${letter.toLowerCase()}`);

  test(
    "hash prints the sums that go wrote into go.sum, for zips and go.mods",
    async () => {
      const lines = (await readFile(join(projectDir("shouting"), "go.sum"), "utf8")).trimEnd().split("\n");
      const sums = lines.map((line) => line.split(" ") as [string, string, string]);
      const files = sums.map(([path, version]) => {
        const [plain = "", mod] = version.split("/");
        return join(cache, escaped(path), "@v", `${plain}.${mod === undefined ? "zip" : "mod"}`);
      });
      const run = await modferry(["hash", ...files]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      const expected = sums.map(([, , sum], at) => `${sum}  ${files[at]}\n`).join("");
      expect(run.stdout).toBe(expected);
      expect(sums.length).toBeGreaterThan(30);
    },
    TIMEOUT,
  );

  test(
    "hash names a zip that is none and goes on with the others; exit 1",
    async () => {
      const goMod = join(projectDir("shouting"), "go.mod");

      const bad = join(await world.folder(), "bad.zip");
      await writeFile(bad, "no zip at all");
      const run = await modferry(["hash", bad, goMod]);
      expect(run.code).toBe(1);
      expect(run.stdout).toMatch(/^h1:[A-Za-z0-9+/]{43}= {2}.*go\.mod\n$/);
      expect(run.stderr.trimEnd().split("\n")).toEqual([expect.stringMatching(/^modferry: .*bad\.zip: /)]);
    },
    TIMEOUT,
  );

  test(
    "hash shows a name that a terminal would obey as a JSON string, and others as they are",
    async () => {
      const dir = await world.folder();
      const text = await readFile(join(projectDir("shouting"), "go.mod"));
      const names = [
        "a\u001b]0;x\u0007.mod",
        "b\u009b31m.mod",
        "c\u202emod.mod",
        "d\nh1:x.mod",
        "é plain.mod",
      ];
      for (const name of names) await writeFile(join(dir, name), text);
      const run = await modferry(["hash", ...names], { cwd: dir });
      expect([run.code, run.stderr]).toEqual([0, ""]);
      const shown = run.stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.replace(/^h1:\S{43}= {2}/, ""));
      expect(run.stdout).not.toMatch(/[^\P{Cc}\n]|\p{Cf}/u);
      expect(shown.slice(0, 4).map((name) => JSON.parse(name))).toEqual(names.slice(0, 4));
      expect(shown[4]).toBe(names[4]);
    },
    TIMEOUT,
  );

  test(
    "hash reads no more of a go.mod than one may have, and hashes the largest that may be",
    async () => {
      const dir = await world.folder();
      const most = 16 * 1024 * 1024; // golang.org/x/mod/zip, MaxGoMod
      await writeFile(join(dir, "largest.mod"), Buffer.alloc(most, "\n"));
      await writeFile(join(dir, "huge.mod"), "");
      await truncate(join(dir, "huge.mod"), 2 ** 40);
      const run = await modferry(["hash", "huge.mod", "largest.mod"], { cwd: dir });
      expect(run.stderr).toMatch(/^modferry: huge\.mod: more than 16777216 bytes/);
      const digest = createHash("sha256").update(Buffer.alloc(most, "\n")).digest("hex");
      // golang.org/x/mod/sumdb/dirhash, Hash1: the line that sha256sum prints, hashed once more.
      const h1 = createHash("sha256").update(`${digest}  go.mod\n`).digest("base64");
      expect([run.code, run.stdout]).toEqual([1, `h1:${h1}  largest.mod\n`]);
    },
    TIMEOUT,
  );

  test(
    "closure --json is sorted, holds exactly module, version and files, and is what a sync then holds",
    async () => {
      const goMod = join(projectDir("shouting"), "go.mod");
      const from = ["--upstream", world.upstream.url, "--sumdb", world.upstream.vkey];
      const run = await modferry(["closure", goMod, ...from, "--json"]);
      expect([run.code, run.stderr]).toEqual([0, ""]);
      const needs = run.stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { module: string; version: string; files: string[] });
      for (const need of needs) {
        expect(Object.keys(need)).toEqual(["module", "version", "files"]);
        expect([["mod"], ["info", "mod", "zip"]]).toContainEqual(need.files);
      }
      const names = needs.map(({ module, version }) => `${module} ${version}`);
      expect(new Set(names).size).toBe(names.length);
      const paths = needs.map(({ module }) => module);
      expect(paths).toEqual([...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));

      const plain = await modferry(["closure", goMod, ...from]);
      expect(plain.stdout).toBe(
        needs.map(({ module, version, files }) => `${module}@${version} ${files.join(",")}\n`).join(""),
      );

      const mirror = await world.synced([goMod]);

      const held = (await readdir(join(mirror, "tree"), { recursive: true }))
        .filter((name) => /\/@v\/.*\.(info|mod|zip)$/.test(name))
        .sort();
      const needed = needs.flatMap(({ module, version, files }) =>
        files.map((file) => `${escaped(module)}/@v/${escaped(version)}.${file}`),
      );
      expect(held).toEqual(needed.sort());
    },
    TIMEOUT,
  );

  test(
    "closure names what cannot be had on stderr, the rest on stdout, and ends with 1",
    async () => {
      const from = ["--upstream", world.upstream.url, "--sumdb", world.upstream.vkey];
      const wishes = ["github.com/BurntSushi/toml@v1.3.2", "example.com/none@v1.0.0"];
      const run = await modferry(["closure", ...wishes, ...from, "--json"]);
      expect(run.code).toBe(1);
      expect(run.stdout).toContain(
        '{"module":"github.com/BurntSushi/toml","version":"v1.3.2","files":["info","mod","zip"]}',
      );
      expect(run.stderr).toMatch(/missing: 1\n {2}example\.com\/none@v1\.0\.0 /);
    },
    TIMEOUT,
  );
});
