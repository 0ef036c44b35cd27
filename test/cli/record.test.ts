import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allSucceed, expectSuccess } from "../e2e/mirror-world.ts";
import { ended, firstLine, modferry, spawnModferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { misuseOf } from "./misused.ts";
import { type RecordedWorld, recordedKeys, recordedWorld } from "./recorded-world.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml";
const usesToml = `package main\n\nimport "${TOML}"\n\nfunc main() { println(toml.Key{"a"}.String()) }\n`;
const testsToml = `package main\n\nimport (\n\t"testing"\n\n\t"${TOML}"\n)\n\nfunc TestKey(t *testing.T) { _ = toml.Key{"a"}.String() }\n`;
const GO_MOD = "module example.com/recorded\n\ngo 1.21\n";

describeWithGo("modferry record", () => {
  let world: RecordedWorld;
  beforeAll(async () => {
    world = await recordedWorld(["modern", "shouting", "legacy"]);
  });
  afterAll(() => world?.close());

  /** Records in one copy, syncs the recording alone, and rehearses in an untouched copy. */
  async function replay(copy: () => Promise<string>, command: readonly string[]): Promise<string> {
    const recording = join(await world.folder(), "recording.json");
    expectSuccess(
      await world.record(await copy(), ["--to", recording], command),
      `record ${command.join(" ")}`,
    );
    const mirror = await world.synced([recording]);
    await world.upstream.reset();
    const run = await world.rehearse(await copy(), [recording, "--mirror", mirror], command);
    expectSuccess(run, `rehearse ${command.join(" ")}`);
    expect((await world.upstream.counts()).paths).toEqual({});
    return recording;
  }

  const sample =
    (name: string, without: readonly string[] = []) =>
    async () => {
      const dir = await world.user.copyProject(name);
      for (const file of without) await rm(join(dir, file));
      return dir;
    };

  test.each<[string, () => Promise<string>, string[]]>([
    ["go mod tidy, all hashes from the database", sample("shouting", ["go.sum"]), ["go", "mod", "tidy"]],
    ["go mod tidy of a project before pruning", sample("legacy", ["go.sum"]), ["go", "mod", "tidy"]],
    ["go build", sample("shouting"), ["go", "build", "-o", "/dev/null", "./..."]],
    [
      "go test",
      () => world.project({ "go.mod": `${GO_MOD}\nrequire ${TOML} v1.3.2\n`, "x_test.go": testsToml }),
      ["sh", "-c", "go mod download github.com/BurntSushi/toml && go get -t . && go test ./..."],
    ],
    [
      "a tidy that looks for the module of an import",
      () => world.project({ "go.mod": GO_MOD, "main.go": usesToml }),
      ["go", "mod", "tidy"],
    ],
    ["go get module@latest", () => world.project({ "go.mod": GO_MOD }), ["go", "get", `${TOML}@latest`]],
    ["go install command@version", () => world.folder(), ["go", "install", `${TOML}/cmd/tomlv@v1.3.2`]],
    ["go list -m -versions", () => world.folder(), ["go", "list", "-m", "-versions", TOML]],
  ])(
    "%s: what was recorded is all that the same command needs from a mirror of the recording alone",
    async (_what, copy, command) => {
      await replay(copy, command);
    },
    TIMEOUT,
  );

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
    "a go.mod with a recording at tier build: the .mod files of its graph, and whole only the zips that were opened",
    async () => {
      const dir = await world.user.copyProject("legacy");
      const recording = join(dir, "r.json");
      const build = ["go", "build", "-o", "/dev/null", "./..."];
      expectSuccess(await world.record(dir, ["--to", recording], build), "record");
      const keys = await recordedKeys(recording);
      const zipsIn = async (mirror: string) =>
        (await readdir(join(mirror, "tree"), { recursive: true }))
          .filter((name) => name.endsWith(".zip"))
          .sort();
      const recorded = await world.synced(["go.mod", "r.json"], { cwd: dir, more: ["--tier", "build"] });
      expect(await zipsIn(recorded)).toEqual(keys.filter((key) => key.endsWith(".zip")));
      const graph = await world.rehearse(
        dir,
        ["go.mod", "r.json", "--mirror", recorded],
        ["go", "mod", "graph"],
      );
      expectSuccess(graph, "the whole graph is there");
      await rm(join(dir, "go.sum"));
      const without = await world.synced(["go.mod"], { cwd: dir, more: ["--tier", "build"] });
      expect((await zipsIn(without)).length, "without a go.sum or a recording").toBeGreaterThan(
        (await zipsIn(recorded)).length,
      );
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

describe("modferry record and its command", { timeout: TIMEOUT }, () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "modferry-record-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const NOWHERE = ["--upstream", "http://127.0.0.1:1"];

  test("a command that asks nothing leaves no recording, syncs none, and says so", async () => {
    const flags = ["--to", "empty.json", "--mirror", "empty-mirror"];
    const run = await modferry(["record", ...NOWHERE, ...flags, "--", "true"], { cwd: folder });
    expect(run).toMatchObject({ code: 0, stdout: "" });
    expect(run.stderr).toBe("modferry: the command asked for nothing; nothing is recorded\n");
    expect(existsSync(join(folder, "empty.json"))).toBe(false);
    expect(existsSync(join(folder, "empty-mirror/vault/inbox"))).toBe(false);
  });

  test("a command that fails hands its status through", async () => {
    const run = await modferry(["record", ...NOWHERE, "--to", "failed.json", "--", "sh", "-c", "exit 7"], {
      cwd: folder,
    });
    expect(run.code).toBe(7);
    expect(run.stderr).toBe(
      "modferry: the command ended with 7 and asked for nothing; nothing is recorded\n",
    );
    expect(existsSync(join(folder, "failed.json"))).toBe(false);
  });

  test("a command that a signal ends has a shell's status", async () => {
    const run = await modferry(
      ["record", ...NOWHERE, "--to", "killed.json", "--", "sh", "-c", "kill -9 $$"],
      { cwd: folder },
    );
    expect(run.code).toBe(137);
  });

  test("flags after -- are the command's own", async () => {
    const run = await modferry(
      ["record", ...NOWHERE, "--to", "flags.json", "--", "echo", "--help", "--", "-x"],
      { cwd: folder },
    );
    expect(run).toMatchObject({ code: 0, stdout: "--help -- -x\n" });
  });

  test.each<[string, string[], RegExp]>([
    [
      "a command that is not there",
      ["--to", "none.json", "--", "no-such-command"],
      /^no-such-command: no such command/,
    ],
    [
      "a file that is no program",
      ["--to", "none.json", "--", "/dev/null"],
      /^\/dev\/null: not permitted to run it/,
    ],
    ["no command", ["--to", "none.json"], /^no command: give one after --/],
    ["no command after --", ["--to", "none.json", "--"], /^no command: give one after --/],
    [
      "nowhere to put it",
      ["--", "true"],
      /^nowhere to put the recording: give --to FILE\.json, or --mirror ADDR/,
    ],
    [
      "a folder that is not there",
      ["--to", "gone/none.json", "--", "true"],
      /^gone\/none\.json: its folder is not there/,
    ],
    [
      "a file that would be no request",
      ["--to", "none.txt", "--", "true"],
      /^--to none\.txt: name a file that ends in \.json/,
    ],
    [
      "a name that is none",
      ["--name", "Two Words", "--to", "none.json", "--", "true"],
      /^--name Two Words: give up to 64/,
    ],
    ["a feed's name", ["--name", "poll", "--to", "none.json", "--", "true"], /^--name poll: /],
    ["an argument too many", ["surplus", "--to", "none.json", "--", "true"], /^surplus: /],
  ])("%s is refused by one line", async (_what, args, line) => {
    expect(await misuseOf(["record", ...NOWHERE, ...args], { cwd: folder })).toMatch(line);
    expect(existsSync(join(folder, "none.json"))).toBe(false);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s stops the command and what it started; no recording and no temporary file is left",
    async (signal) => {
      const tmp = await mkdtemp(join(folder, "tmp-"));
      const script = `sleep 300 & echo "$! $$ $GOMODCACHE"; touch "$GOMODCACHE/file"; chmod 500 "$GOMODCACHE"; wait`;
      const child = spawnModferry(["record", ...NOWHERE, "--to", "stopped.json", "--", "sh", "-c", script], {
        cwd: folder,
        env: { TMPDIR: tmp },
      });
      const run = ended(child);
      const [sleeper = "", shell = "", cache = ""] = (await firstLine(child)).split(" ");
      expect(cache.startsWith(tmp)).toBe(true);
      await sleep(50);
      child.kill(signal);
      const { code, stderr } = await run;
      expect(code).toBeGreaterThan(128);
      expect(stderr).toContain(`stopped by ${signal}; nothing is recorded`);
      for (const pid of [sleeper, shell]) expect(await isRunning(Number(pid)), `process ${pid}`).toBe(false);
      expect(await readdir(tmp)).toEqual([]);
      expect((await readdir(folder)).filter((name) => name.includes("stopped"))).toEqual([]);
    },
  );

  test("a command that does not end at SIGTERM is killed when it is asked twice", async () => {
    const script = `trap "echo asked" TERM; echo ready; while :; do sleep 0.1; done`;
    const args = ["record", ...NOWHERE, "--to", "stopped.json", "--", "sh", "-c", script];
    const child = spawnModferry(args, { cwd: folder });
    const run = ended(child);
    await firstLine(child);
    child.kill("SIGTERM");
    await sleep(500);
    child.kill("SIGTERM");
    expect(await run).toMatchObject({ code: 137, stdout: "ready\nasked\n" });
  });

  test("a command that asks nothing leaves an earlier recording as it is", async () => {
    await writeFile(join(folder, "earlier.json"), "old");
    await modferry(["record", ...NOWHERE, "--to", "earlier.json", "--", "true"], { cwd: folder });
    expect(await readFile(join(folder, "earlier.json"), "utf8")).toBe("old");
  });
});

/** A zombie has ended: only its parent, which is not ours, has not looked yet. */
async function isRunning(pid: number): Promise<boolean> {
  for (let look = 0; look < 50; look++) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    if (stat === undefined || /^\d+ \(.*\) Z/.test(stat)) return false;
    await sleep(20);
  }
  return true;
}
