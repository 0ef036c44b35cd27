import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess } from "../e2e/mirror-world.ts";
import { describeWithGo } from "../go-command.ts";
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
});
