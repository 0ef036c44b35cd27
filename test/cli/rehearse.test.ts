import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess } from "../e2e/mirror-world.ts";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { misuseOf } from "./misused.ts";
import { type RecordedWorld, recordedWorld } from "./recorded-world.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml";
const ERRORS = "github.com/pkg/errors";
const usesToml = `package main\n\nimport "${TOML}"\n\nfunc main() { println(toml.Key{"a"}.String()) }\n`;
const usesErrors = `package main\n\nimport "${ERRORS}"\n\nfunc main() { println(errors.New("a").Error()) }\n`;
const goMod = (require: string) => `module example.com/rehearsed\n\ngo 1.21\n\nrequire ${require}\n`;

describeWithGo("modferry rehearse", () => {
  let world: RecordedWorld;
  beforeAll(async () => {
    world = await recordedWorld(["modern", "shouting", "legacy"]);
  });
  afterAll(() => world?.close());

  /** The events of a run with --json. */
  const events = (stdout: string) =>
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { event: string; subject: string });
  const subjects = (stdout: string, event: string) =>
    events(stdout).flatMap((entry) => (entry.event === event ? [entry.subject] : []));

  test(
    "a project that is mirrored passes, with every hash from the mirror's checksum database",
    async () => {
      const mirror = await world.synced([join(projectDir("shouting"), "go.mod")]);
      const dir = await world.user.copyProject("shouting");
      await rm(join(dir, "go.sum"));
      await world.upstream.reset();
      // An address in GOSUMDB would be asked past the mirror.
      const env = { GOSUMDB: `${world.upstream.vkey} http://127.0.0.1:1` };
      const command = ["sh", "-c", "go mod tidy && go build -o /dev/null ./..."];
      const run = await world.rehearse(dir, ["go.mod", "--mirror", mirror], command, env);
      expectSuccess(run, "rehearse");
      expect(run.stderr).toMatch(/modferry: \d+ files asked, none missing/);
      expect((await world.upstream.counts()).paths).toEqual({});
      expect(await readdir(join(world.user.home, "gopath")).catch(() => []), "the user's own state").toEqual(
        [],
      );
    },
    TIMEOUT,
  );

  test.each<[string, (mirror: string, sumdb: string) => string]>([
    ["a zip", () => "github.com/!burnt!sushi/toml/@v/v1.3.2.zip"],
    ["a go.mod", () => "github.com/!burnt!sushi/toml/@v/v1.3.2.mod"],
    ["a lookup", (_mirror, sumdb) => `sumdb/${sumdb}/lookup/github.com/!burnt!sushi/toml@v1.3.2`],
  ])(
    "%s taken out of the mirror is named, and nothing else",
    async (_what, keyOf) => {
      const dir = await world.project({ "go.mod": goMod(`${TOML} v1.3.2`), "main.go": usesToml });
      const mirror = await world.synced(["go.mod"], { cwd: dir });
      const key = keyOf(mirror, world.upstream.sumdbName);
      await rm(join(mirror, "tree", key));
      const run = await world.rehearse(dir, ["sync", "--mirror", mirror, "--json"], ["go", "mod", "tidy"]);
      expect(run.code).toBe(1);
      expect(subjects(run.stdout, "missing")).toEqual([key]);
      expect(subjects(run.stdout, "outside")).toEqual([]);
    },
    TIMEOUT,
  );

  test(
    "what only another request brought is named, though the command passes",
    async () => {
      const first = await world.project({ "go.mod": goMod(`${TOML} v1.3.2`), "main.go": usesToml });
      const mirror = await world.synced(["go.mod"], { cwd: first });
      const second = await world.project({ "go.mod": goMod(`${ERRORS} v0.9.1`), "main.go": usesErrors });
      expectSuccess(await world.sync(mirror, ["go.mod"], { cwd: second }), "the other sync");
      const tidy = ["go", "mod", "tidy"];
      const others = ["mod", "zip"].map((kind) => `${ERRORS}/@v/v0.9.1.${kind}`);

      const gap = await world.rehearse(second, [join(first, "go.mod"), "--mirror", mirror, "--json"], tidy);
      expect(gap.code).toBe(1);
      expect(subjects(gap.stdout, "missing")).toEqual([]);
      expect(subjects(gap.stdout, "outside").filter((key) => !key.startsWith("sumdb/"))).toEqual(others);
      expect(events(gap.stdout).at(-1)).toMatchObject({ event: "rehearsed", status: 0, missing: 0 });

      // By name: the last of that name is the second; the first one by its time.
      await rm(join(second, "go.sum"));
      expectSuccess(await world.rehearse(second, ["sync", "--mirror", mirror], tidy), "the second request");
      const [time = ""] = (await readdir(join(mirror, "vault/inbox/requests/sync"))).sort();
      const name = `sync/${time.replace(".json", "")}`;
      const table = await world.rehearse(second, [name, "--mirror", mirror], ["go", "mod", "download"]);
      expect(table.code).toBe(1);
      expect(table.stderr).toMatch(/held, but not for this request: \d+\n/);
      expect(table.stderr).toMatch(/errors\/@v\/v0\.9\.1\.zip +another's +held for another request/);
    },
    TIMEOUT,
  );

  test(
    "a module that only another request lists is named",
    async () => {
      const dir = await world.project({ "go.mod": goMod(`${TOML} v1.3.2 // indirect`) });
      const mirror = await world.synced(["go.mod"], { cwd: dir });
      const list = ["go", "list", "-m", "-versions", TOML];
      const flags = [join(dir, "go.mod"), "--mirror", mirror, "--json"];
      const alone = await world.rehearse(dir, flags, list);
      expect(subjects(alone.stdout, "unlisted")).not.toContain("github.com/!burnt!sushi/toml/@v/list");
      expectSuccess(await world.sync(mirror, [`${TOML}@v1.3.2`]), "the other sync");
      const run = await world.rehearse(dir, flags, list);
      expect(subjects(run.stdout, "unlisted")).toEqual(["github.com/!burnt!sushi/toml/@v/list"]);
    },
    TIMEOUT,
  );

  test(
    "a wish whose go.mod files the mirror lacks is said to be open, whatever the command asks",
    async () => {
      const dir = await world.project({ "go.mod": goMod(`${ERRORS} v0.9.1`) });
      const mirror = await world.synced([`${TOML}@v1.3.2`]);
      const run = await world.rehearse(dir, ["go.mod", "--mirror", mirror, "--json"], ["true"]);
      expect(run.code).toBe(1);
      expect(subjects(run.stdout, "missing")).toEqual([`${ERRORS}@v0.9.1`]);
    },
    TIMEOUT,
  );

  test(
    "lists: a module that is held and not listed is named; paths that nobody knows are a hint, and only after a failure",
    async () => {
      const dir = await world.project({ "go.mod": goMod(`${TOML} v1.3.2`), "main.go": usesToml });
      const recording = join(dir, "r.json");
      expectSuccess(await world.record(dir, ["--to", recording], ["go", "mod", "tidy"]), "record");
      const mirror = await world.synced([recording]);
      const update = await world.rehearse(
        dir,
        [recording, "--mirror", mirror, "--json"],
        ["go", "list", "-m", "-u", TOML],
      );
      expectSuccess(update, "go finds no update, and is content");
      expect(subjects(update.stdout, "unlisted")).toEqual(["github.com/!burnt!sushi/toml/@latest"]);

      const other = await world.rehearse(
        dir,
        [recording, "--mirror", mirror],
        ["go", "get", "example.com/none/x@latest"],
      );
      expect(other.code).toBe(1);
      expect(other.stderr).toMatch(/the command ended with 1/);
      expect(other.stderr).toMatch(/paths that this mirror does not know.*: \d+\n/);
      expect(other.stderr).toContain("example.com/none/@v/list");
      expect(other.stderr).not.toMatch(/^missing/m);

      const tolerated = await world.rehearse(
        dir,
        [recording, "--mirror", mirror],
        ["sh", "-c", "go get example.com/none/x@latest; true"],
      );
      expect(tolerated.code).toBe(0);
      expect(tolerated.stderr).not.toContain("asked too");
    },
    TIMEOUT,
  );

  test(
    "a branch is named as missing: a mirror holds versions",
    async () => {
      const dir = await world.project({ "go.mod": goMod(`${TOML} v1.3.2`), "main.go": usesToml });
      const mirror = await world.synced(["go.mod"], { cwd: dir });
      const run = await world.rehearse(
        dir,
        ["go.mod", "--mirror", mirror, "--json"],
        ["go", "list", "-m", `${TOML}@master`],
      );
      expect(run.code).toBe(1);
      expect(subjects(run.stdout, "missing")).toContain("github.com/!burnt!sushi/toml/@v/master.info");
    },
    TIMEOUT,
  );

  test(
    "a command that fails for itself: exit 1, and nothing is called missing",
    async () => {
      const mirror = await world.synced([`${TOML}@v1.3.2`]);
      const run = await world.rehearse(mirror, ["sync", "--mirror", mirror], ["sh", "-c", "exit 9"]);
      expect(run.code).toBe(1);
      expect(run.stderr).toBe("modferry: the command ended with 9\nmodferry: 0 files asked, none missing\n");
    },
    TIMEOUT,
  );

  test(
    "mistakes are one line",
    async () => {
      const mirror = await world.synced([`${TOML}@v1.3.2`]);
      const misused = (args: readonly string[]) => misuseOf(["rehearse", ...args], { cwd: mirror });
      expect(await misused(["none", "--mirror", mirror, "--", "true"])).toMatch(
        /^none: this mirror has no request of that name, and it is no wish/,
      );
      expect(await misused(["sync/20260101T000000000Z", "--mirror", mirror, "--", "true"])).toMatch(
        /^sync\/2026.*: this mirror has no request/,
      );
      expect(await misused(["--mirror", mirror, "--", "true"])).toMatch(/^no wish/);
      expect(await misused(["sync", "--mirror", mirror])).toMatch(/^no command/);
      expect(await misused(["sync", "--mirror", join(mirror, "none"), "--", "true"])).toMatch(
        /no mirror here/,
      );
      expect(await misused(["sync", "--mirror", mirror, "--", "no-such-command"])).toMatch(
        /^no-such-command: no such command/,
      );
    },
    TIMEOUT,
  );
});
