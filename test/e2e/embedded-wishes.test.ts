import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld, writeFiles } from "./mirror-world.ts";
import { serveMirror } from "./modferry-command.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml";
const CHI = "github.com/go-chi/chi/v5";

const usesToml = `package main\n\nimport "${TOML}"\n\nfunc main() { println(toml.Key{"a"}.String()) }\n`;
const usesErrors = `package main\n\nimport "github.com/pkg/errors"\n\nfunc main() { println(errors.New("a").Error()) }\n`;

describeWithGo("an embedded mirror, whatever is asked of it", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["modern", "legacy", "shouting"]);
  });
  afterAll(() => world?.close());

  const treeOf = (mirror: string) => `file://${join(mirror, "tree")}`;

  test(
    "a client that keeps its database state builds on after the mirror has moved to a later head",
    async () => {
      const mirror = await world.synced([join(projectDir("shouting"), "go.mod")]);
      const served = await serveMirror(mirror);
      try {
        const client = await world.client(served.url);
        const [first, second] = [await client.copyProject("shouting"), await client.copyProject("modern")];
        // Without a go.sum, every hash is asked of the database.
        for (const dir of [first, second]) await rm(join(dir, "go.sum"));
        await allSucceed(client, first, ["mod tidy", "build ./..."]);
        const state = () =>
          readFile(join(client.home, "gopath/pkg/sumdb", world.upstream.sumdbName, "latest"), "utf8");
        const seen = await state();

        await world.upstream.grow(5_000);
        expectSuccess(await world.sync(mirror, [join(projectDir("modern"), "go.mod")]), "the later sync");
        await client.clearModCache();
        await allSucceed(client, second, ["mod tidy", "build ./..."]);
        expect(await state(), "the client has followed to the later head").not.toBe(seen);
        await client.clearModCache();
        await rm(join(first, "go.sum"));
        await allSucceed(client, first, ["mod tidy", "build ./..."]);

        // A client that comes new, and is given what was proven under the older head.
        const fresh = await world.client(served.url);
        const copy = await fresh.copyProject("shouting");
        await rm(join(copy, "go.sum"));
        await allSucceed(fresh, copy, ["mod tidy"]);
      } finally {
        await served.stop();
      }
    },
    TIMEOUT,
  );

  test(
    "module@version and module@latest serve an empty module's `go get` and build",
    async () => {
      const mirror = await world.synced([`${CHI}@v5.0.12`, `${TOML}@latest`]);
      const served = await serveMirror(mirror);
      try {
        for (const goproxy of [treeOf(mirror), served.url]) {
          const client = await world.client(goproxy);
          const dir = await world.folder();
          const main = `package main\n\nimport (\n\t"${CHI}"\n\t"${TOML}"\n)\n\nfunc main() {\n\tchi.NewRouter()\n\tprintln(toml.Key{"a"}.String())\n}\n`;
          await writeFiles(dir, { "go.mod": "module example.com/empty\n\ngo 1.21\n", "main.go": main });
          const commands = [
            `get ${CHI}@v5.0.12`,
            `get ${TOML}@latest`,
            "build ./...",
            "mod tidy",
            "list -m all",
          ];
          await allSucceed(client, dir, [...commands, `list -m ${CHI}@latest`, `list -m -versions ${TOML}`]);
        }
      } finally {
        await served.stop();
      }
    },
    TIMEOUT,
  );

  test(
    "a go.work with two members builds as a workspace and each member alone",
    async () => {
      const dir = await world.folder();
      for (const member of ["a", "b"]) await mkdir(join(dir, member));
      await writeFiles(dir, {
        "go.work": "go 1.21\n\nuse (\n\t./a\n\t./b\n)\n",
        "a/go.mod": `module example.com/a\n\ngo 1.21\n\nrequire ${TOML} v1.3.2\n`,
        "a/main.go": usesToml,
        "b/go.mod": "module example.com/b\n\ngo 1.21\n\nrequire github.com/pkg/errors v0.9.1\n",
        "b/main.go": usesErrors,
      });
      const mirror = await world.synced(["go.work"], { cwd: dir });
      const client = await world.client(treeOf(mirror));
      const alone = await world.client(treeOf(mirror), { env: { GOWORK: "off" } });
      for (const member of ["a", "b"])
        await allSucceed(alone, join(dir, member), ["mod tidy", "build ./..."]);
      await allSucceed(client, dir, ["mod download", "build ./a/... ./b/...", "list -m all", "work vendor"]);
    },
    TIMEOUT,
  );

  test(
    "what `go list -m -json all` prints, piped into `modferry sync -`, is what the build needs",
    async () => {
      // Of modules that the sample projects download whole: a build list also names what only their graphs read.
      const connected = await world.client(world.upstream.url);
      const dir = await world.folder();
      const main = `package main\n\nimport (\n\t"${CHI}"\n\t"${TOML}"\n)\n\nfunc main() {\n\tchi.NewRouter()\n\tprintln(toml.Key{"a"}.String())\n}\n`;
      const require = `require (\n\t${CHI} v5.0.12\n\t${TOML} v1.3.2\n)\n`;
      await writeFiles(dir, {
        "go.mod": `module example.com/piped\n\ngo 1.21\n\n${require}`,
        "main.go": main,
      });
      await allSucceed(connected, dir, ["mod tidy"]);
      const { stdout } = await connected.run(["list", "-m", "-json", "all"], { cwd: dir });
      const mirror = await world.synced(["-"], { stdin: stdout });
      const client = await world.client(treeOf(mirror));
      await allSucceed(client, dir, ["mod tidy", "build ./...", "mod download all", "mod verify"]);
    },
    TIMEOUT,
  );

  test(
    "a go.sum alone is enough to build and to download all that it names",
    async () => {
      const dir = await world.folder();
      await writeFile(join(dir, "go.sum"), await readFile(join(projectDir("legacy"), "go.sum")));
      const mirror = await world.synced(["go.sum"], { cwd: dir });
      const client = await world.client(treeOf(mirror));
      await allSucceed(client, await client.copyProject("legacy"), ["build ./...", "mod tidy"]);
    },
    TIMEOUT,
  );

  test(
    "--tier build holds less than tidy, and a build needs no more",
    async () => {
      const goMod = join(projectDir("modern"), "go.mod");
      const mirror = await world.synced([goMod], { more: ["--tier", "build"] });
      const client = await world.client(treeOf(mirror));
      const dir = await client.copyProject("modern");
      await allSucceed(client, dir, ["build ./...", "vet ./...", "mod vendor"]);
      const other = await world.client(treeOf(mirror));
      const all = await other.run(["mod", "download", "all"], { cwd: await other.copyProject("modern") });
      expect(all.code, "download all needs what this tier leaves out").toBe(1);
    },
    TIMEOUT,
  );

  test(
    "--no-sumdb: modules that no checksum database covers, from an upstream that has none",
    async () => {
      const connected = await world.client(world.upstream.url);
      await allSucceed(connected, await connected.copyProject("shouting"), ["mod download all"]);
      const upstream = `file://${join(connected.modCache, "cache/download")}`;
      const mirror = await world.folder();
      const run = await world.sync(mirror, [join(projectDir("shouting"), "go.mod")], {
        more: ["--no-sumdb", "*", "--upstream", upstream],
      });
      expectSuccess(run, "sync --no-sumdb");
      expect(run.stderr, "no database is asked, so none can fail").not.toContain("checksum database");
      expect(await readdir(join(mirror, "tree"))).not.toContain("sumdb");
      const client = await world.client(treeOf(mirror), { env: { GONOSUMDB: "*" } });
      const dir = await client.copyProject("shouting");
      await allSucceed(client, dir, ["build ./...", "mod tidy", "mod verify"]);
    },
    TIMEOUT,
  );

  test(
    "a go.mod that replaces a module by a local folder is closed with what that folder requires",
    async () => {
      const dir = await world.folder();
      await mkdir(join(dir, "local"));
      const main = `package main\n\nimport "example.com/local"\n\nfunc main() { local.Hello() }\n`;
      await writeFiles(dir, {
        "go.mod":
          "module example.com/main\n\ngo 1.21\n\nrequire example.com/local v1.0.0\n\nreplace example.com/local => ./local\n",
        "main.go": main,
        "local/go.mod": `module example.com/local\n\ngo 1.21\n\nrequire ${TOML} v1.3.2\n`,
        "local/local.go": usesToml.replace("package main", "package local").replace("main()", "Hello()"),
      });
      const mirror = await world.synced(["go.mod"], { cwd: dir });
      const client = await world.client(treeOf(mirror));
      await allSucceed(client, dir, ["mod tidy", "build ./...", "list -m all", "mod vendor"]);
    },
    TIMEOUT,
  );
});
