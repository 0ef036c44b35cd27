import { chmod, readFile, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess, type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { misuseOf, NOWHERE } from "./misused.ts";

const TIMEOUT = 240_000;
const TOML = "github.com/BurntSushi/toml@v1.3.2";

describeWithGo("modferry sync --refresh", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
  }, TIMEOUT);
  afterAll(() => world?.close());

  test(
    "brings back lost and damaged files, changes nothing else, and says so",
    async () => {
      const mirror = await world.synced([TOML]);
      const refresh = (...more: string[]) => world.sync(mirror, [TOML], { more: ["--refresh", ...more] });
      const same = await refresh();
      expectSuccess(same, "sync --refresh");
      expect(same.stderr).toBe(`${TOML}: unchanged\n`);
      const file = (suffix: string) => join(mirror, `tree/github.com/!burnt!sushi/toml/@v/v1.3.2.${suffix}`);
      const zip = await readFile(file("zip"));
      await chmod(file("zip"), 0o644);
      await truncate(file("zip"), zip.byteLength - 9);
      await unlink(file("mod"));
      const mended = await refresh("--json");
      expectSuccess(mended, "sync --refresh --json");
      expect(JSON.parse(mended.stdout)).toEqual({
        event: "refreshed",
        version: TOML,
        outcome: "restored",
        files: ["mod", "zip"].map((suffix) => `github.com/!burnt!sushi/toml/@v/v1.3.2.${suffix}`),
      });
      expect((await readFile(file("zip"))).equals(zip)).toBe(true);
      expectSuccess(await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]), "verify");
      const absent = await world.sync(mirror, ["example.com/none@v1.0.0"], { more: ["--refresh"] });
      expect([absent.code, absent.stderr]).toEqual([
        1,
        "modferry: example.com/none@v1.0.0: is not held; sync it without --refresh\n",
      ]);
    },
    TIMEOUT,
  );

  test("names what does not go with it", async () => {
    const cwd = await world.folder();
    await writeFile(join(cwd, "go.mod"), "module example.com/m\n");
    const misused = (...args: string[]) => misuseOf(["sync", "--refresh", ...args, ...NOWHERE], { cwd });
    expect(await misused()).toContain("--refresh: names no version");
    expect(await misused("go.mod")).toContain('--refresh: "go.mod" names no version');
    expect(await misused("example.com/a@latest")).toContain("--refresh: ");
    expect(await misused("example.com/a@v1.0.0", "--from-modcache")).toContain("--from-modcache: given with");
    expect(await misused("example.com/a@v1.0.0", "--clear-fork", "x")).toContain("--clear-fork: given with");
  });
});
