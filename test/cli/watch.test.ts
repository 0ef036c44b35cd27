import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { ended, spawnModferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 240_000;
const WAIT = { timeout: 90_000, interval: 100 };
const goMod = (...requires: string[]) =>
  `module example.com/watched\n\ngo 1.21\n\n${requires.map((line) => `require ${line}\n`).join("")}`;

describeWithGo("modferry watch", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["modern", "shouting", "legacy"]);
  });
  afterAll(() => world?.close());

  test(
    "mirrors what is there, then what each change adds, and is not put off by half-written files",
    async () => {
      const dir = await world.folder();
      const mirror = await world.folder();
      const file = join(dir, "go.mod");
      await writeFile(file, goMod("github.com/BurntSushi/toml v1.3.2"));
      const { url, vkey } = world.upstream;
      const flags = ["--mirror", mirror, "--upstream", url, "--sumdb", vkey, "--tiles", "needed"];
      const child = spawnModferry(["watch", ".", ...flags], { cwd: dir });
      const run = ended(child);
      let said = "";
      child.stderr.on("data", (text) => {
        said += text;
      });
      const lines = () => said.trimEnd().split("\n");
      const listOf = (module: string) => readFile(join(mirror, "tree", module, "@v/list"), "utf8");
      await vi.waitFor(() => expect(said).toMatch(/ go\.mod: 1 versions.*\(\d+\.\d s\)\n/), WAIT);
      expect(await listOf("github.com/!burnt!sushi/toml")).toBe("v1.3.2\n");

      // As editors do it, and a file that is not whole in between.
      await writeFile(file, "module example.com/watched\nrequire (\n");
      await vi.waitFor(() => expect(said).toContain("unterminated block"), WAIT);
      const next = join(dir, ".go.mod.swp");
      await writeFile(next, goMod("github.com/BurntSushi/toml v1.3.2", "github.com/pkg/errors v0.9.1"));
      await rename(next, file);
      await vi.waitFor(async () => expect(await listOf("github.com/pkg/errors")).toBe("v0.9.1\n"), WAIT);

      await vi.waitFor(() => expect(said.match(/ go\.mod: \d+ versions.*\n/g)).toHaveLength(2), WAIT);

      // The same again is nothing new; a nested module that comes is.
      const before = lines().length;
      await writeFile(file, goMod("github.com/BurntSushi/toml v1.3.2", "github.com/pkg/errors v0.9.1"));
      await mkdir(join(dir, "sub/tool"), { recursive: true });
      await writeFile(
        join(dir, "sub/tool/go.mod"),
        goMod("github.com/patrickmn/go-cache v2.1.0+incompatible"),
      );
      await vi.waitFor(
        async () => expect(await listOf("github.com/patrickmn/go-cache")).toBe("v2.1.0+incompatible\n"),
        WAIT,
      );
      await vi.waitFor(() => expect(lines().slice(before).join("\n")).toContain(" sub/tool/go.mod: "), WAIT);
      expect(
        lines()
          .slice(before)
          .filter((line) => / go\.mod: /.test(line)),
      ).toEqual([]);
      child.kill("SIGINT");
      expect((await run).code).toBe(0);
    },
    TIMEOUT,
  );

  test("names a folder that is none", async () => {
    expect(await misuseOf(["watch", "/no/such/folder"], {})).toContain("no such folder");
  });
});
