import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allSucceed, expectSuccess } from "../e2e/mirror-world.ts";
import { describeWithGo } from "../go-command.ts";
import { type RecordedWorld, recordedKeys, recordedWorld } from "./recorded-world.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml";

describeWithGo("modferry record", () => {
  let world: RecordedWorld;
  beforeAll(async () => {
    world = await recordedWorld(["modern", "shouting", "legacy"]);
  });
  afterAll(() => world?.close());

  const sample =
    (name: string, without: readonly string[] = []) =>
    async () => {
      const dir = await world.user.copyProject(name);
      for (const file of without) await rm(join(dir, file));
      return dir;
    };

  test(
    "the recording is what the upstream was asked and gave, no more and no less",
    async () => {
      const dir = await world.user.copyProject("modern");
      // Though the user's own module cache has all of it.
      const online = await world.client(world.upstream.url, { home: world.user.home });
      await allSucceed(online, dir, ["mod download"]);
      await rm(join(dir, "go.sum"));
      await world.upstream.reset();
      expectSuccess(await world.record(dir, ["--to", "r.json"], ["go", "mod", "tidy"]), "record");
      const { paths } = await world.upstream.counts();
      const asked = Object.keys(paths)
        .map((path) => path.slice(1))
        .filter((path) => !/^sumdb\/[^/]+\/(tile|latest|supported)/.test(path));
      for (const kind of [/\/lookup\//, /\.mod$/, /\.zip$/])
        expect(
          asked.filter((path) => kind.test(path)),
          String(kind),
        ).not.toEqual([]);
      expect(await recordedKeys(join(dir, "r.json"))).toEqual(asked.sort());
    },
    TIMEOUT,
  );

  test(
    "--mirror syncs at once, and what was recorded is rehearsed by its name",
    async () => {
      const mirror = await world.folder();
      const copy = sample("shouting", ["go.sum"]);
      const flags = ["--mirror", mirror, "--name", "ci", "--sumdb", world.upstream.vkey];
      const command = ["go", "mod", "tidy"];
      expectSuccess(await world.record(await copy(), flags, command), "record --mirror");
      expectSuccess(await world.rehearse(await copy(), ["ci", "--mirror", mirror], command), "rehearse ci");
      expect((await readdir(join(mirror, "vault/inbox/requests"))).sort()).toEqual(["ci"]);
    },
    TIMEOUT,
  );

  test(
    "--mirror takes --tiles, --tier and --graph as sync does",
    async () => {
      const mirror = await world.folder();
      const sync = ["--mirror", mirror, "--sumdb", world.upstream.vkey];
      const extents = ["--tiles", "needed", "--tier", "upgrade", "--graph", "full"];
      const list = ["go", "list", "-m", "github.com/pkg/errors@v0.9.1"];
      expectSuccess(await world.record(await world.folder(), [...sync, ...extents], list), "record --mirror");
      const inbox = join(mirror, "vault/inbox/requests/recording");
      const [request = ""] = await readdir(inbox);
      expect(JSON.parse(await readFile(join(inbox, request), "utf8"))).toMatchObject({
        tier: "upgrade",
        graph: "full",
      });
    },
    TIMEOUT,
  );

  test(
    "an earlier recording is replaced whole, but by a command that passes only, and only then it is synced",
    async () => {
      const dir = await world.folder();
      const file = join(dir, "r.json");
      const mirror = await world.folder();
      const list = "go list -m github.com/pkg/errors@v0.9.1";
      const fails = ["sh", "-c", `${list}; exit 7`];
      await writeFile(file, "old");
      const kept = await world.record(dir, ["--to", file], fails);
      expect([kept.code, await readFile(file, "utf8")]).toEqual([7, "old"]);
      expect(kept.stderr).toBe(`modferry: the command ended with 7; ${file} is kept as it was\n`);
      const unsynced = await world.record(dir, ["--mirror", mirror, "--sumdb", world.upstream.vkey], fails);
      expect(unsynced.code).toBe(7);
      expect(unsynced.stderr).toBe(
        "modferry: the command ended with 7; its recording is not synced; give --to FILE.json to keep what it had asked\n",
      );
      expect(existsSync(join(mirror, "vault/inbox")), "a request").toBe(false);
      expectSuccess(await world.record(dir, ["--to", file], ["sh", "-c", list]), "record");
      expect(await recordedKeys(file)).toContain("github.com/pkg/errors/@v/v0.9.1.mod");
      await rm(file);
      expect((await world.record(dir, ["--to", file], fails)).code).toBe(7);
      expect(await recordedKeys(file), "what a failed command had asked").not.toEqual([]);
      expect(await readdir(dir)).toEqual(["r.json"]);
    },
    TIMEOUT,
  );

  test(
    "heads that the user's own go has seen have no part in it; go install puts programs where it would",
    async () => {
      const gopath = await world.folder();
      const heads = join(gopath, "pkg/sumdb", world.upstream.sumdbName);
      await mkdir(heads, { recursive: true });
      await writeFile(join(heads, "latest"), "a head that this go could not go on from\n");
      const dir = await world.folder();
      const install = ["go", "install", `${TOML}/cmd/tomlv@v1.3.2`];
      const own = await world.record(dir, ["--to", "r.json"], install, { GOPATH: gopath });
      expectSuccess(own, "with a GOPATH");
      expect(await readdir(join(gopath, "bin"))).toEqual(["tomlv"]);
      expect(await readdir(heads)).toEqual(["latest"]);
      const GOBIN = await world.folder();
      expectSuccess(
        await world.record(dir, ["--to", "r.json"], install, { GOPATH: gopath, GOBIN }),
        "with a GOBIN",
      );
      expect(await readdir(GOBIN)).toEqual(["tomlv"]);
      const cross = { GOPATH: gopath, GOOS: "plan9", GOARCH: "386" };
      await rm(join(heads, "latest"));
      expectSuccess(await world.record(dir, ["--to", "r.json"], install, cross), "for another system");
      expect(await readdir(join(gopath, "bin/plan9_386"))).toEqual(["tomlv"]);
    },
    TIMEOUT,
  );

  test(
    "with --json, stdout is NDJSON whatever the command prints there",
    async () => {
      const dir = await world.folder();
      const run = await world.record(
        dir,
        ["--to", "r.json", "--json"],
        ["sh", "-c", "echo words; go list -m github.com/pkg/errors@v0.9.1"],
      );
      expectSuccess(run, "record --json");
      expect(run.stderr).toContain("words\n");
      const keys = await recordedKeys(join(dir, "r.json"));
      expect(
        run.stdout
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line)),
      ).toEqual([{ event: "recorded", files: keys.length, status: 0, to: "r.json" }]);
      expect(keys).toContain("github.com/pkg/errors/@v/v0.9.1.info");
    },
    TIMEOUT,
  );

  test(
    "what go fetches past the proxy is said in a line",
    async () => {
      const dir = await world.folder();
      const run = await world.record(dir, ["--to", "r.json"], ["true"], { GOPRIVATE: "corp.example/*" });
      expect(run.code).toBe(0);
      expect(run.stderr).toMatch(/GONOPROXY \(or GOPRIVATE\) is corp\.example\/\*: .*not seen here/);
    },
    TIMEOUT,
  );
});
