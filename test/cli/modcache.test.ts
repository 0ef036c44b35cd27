import { chmod, readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 240_000;
const TOML_ZIP = "github.com/!burnt!sushi/toml/@v";

describeWithGo("modferry sync --from-modcache", () => {
  let world: MirrorWorld;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
  }, TIMEOUT);
  afterAll(() => world?.close());

  const zips = (paths: Readonly<Record<string, number>>) =>
    Object.keys(paths).filter((path) => path.endsWith(".zip"));

  test(
    "takes what a build has left there, proves it, and go builds from that mirror alone",
    async () => {
      const user = await world.client(world.upstream.url);
      const project = await user.copyProject("shouting");
      await allSucceed(user, project, ["mod download all"]);
      const downloads = join(user.home, "modcache/cache/download");
      const [zip = ""] = (await readdir(join(downloads, TOML_ZIP))).filter((name) => name.endsWith(".zip"));
      await world.upstream.reset();
      const mirror = await world.folder();
      const seeded = await world.sync(mirror, [join(user.home, "modcache")], {
        more: ["--from-modcache"],
      });
      expectSuccess(seeded, "sync --from-modcache");
      expect(seeded.stderr).toMatch(/modferry: \d+ files came from the module cache, 0 from upstream/);
      expect(zips((await world.upstream.counts()).paths)).toEqual([]);
      const client = await world.client(`file://${mirror}/tree`);
      await allSucceed(client, await client.copyProject("shouting"), ["mod download", "build ./..."]);

      // A damaged file is found, and got from upstream.
      const damaged = join(downloads, TOML_ZIP, zip);
      await chmod(damaged, 0o644);
      await truncate(damaged, (await stat(damaged)).size - 9);
      const healed = await world.folder();
      const again = await world.sync(healed, [downloads], { more: ["--from-modcache"] });
      expectSuccess(again, "sync --from-modcache");
      expect(again.stderr).toContain("not from the module cache: github.com/BurntSushi/toml@");
      expect(again.stderr).toMatch(/, 1 from upstream/);
      expect(zips((await world.upstream.counts()).paths)).toHaveLength(1);
      expectSuccess(await modferry(["verify", "--mirror", healed, "--sumdb", world.upstream.vkey]), "verify");
    },
    TIMEOUT,
  );

  test("names a folder that is no module cache", async () => {
    const folder = await world.folder();
    const more = ["--mirror", join(folder, "mirror"), "--upstream", world.upstream.url];
    expect(await misuseOf(["sync", "--from-modcache", folder, ...more], {})).toContain("holds no module");
    expect(await misuseOf(["sync", "--from-modcache", join(folder, "none"), ...more], {})).toContain(
      "no such folder",
    );
    expect(await misuseOf(["sync", "--from-modcache", folder, "go.mod", ...more], {})).toContain(
      "takes one folder",
    );
  });
});
