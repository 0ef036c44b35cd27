import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { misuseOf } from "./misused.ts";

const TIMEOUT = 240_000;

describeWithGo("modferry pull", () => {
  let world: MirrorWorld;
  let mirror: string;
  beforeAll(async () => {
    world = await mirrorWorld(["shouting"]);
    mirror = await world.synced([join(projectDir("shouting"), "go.mod")]);
  }, TIMEOUT);
  afterAll(() => world?.close());

  test(
    "makes a folder that go builds from, with every hash verified, and then finds nothing to do",
    async () => {
      const to = join(await world.folder(), "node/disk");
      const pull = ["pull", "--mirror", mirror, "--to", to];
      const first = await modferry([...pull, "--json"]);
      expectSuccess(first, "pull");
      expect(JSON.parse(first.stdout)).toMatchObject({ event: "pulled", same: 0, replaced: 0, removed: 0 });
      const client = await world.client(pathToFileURL(to).href);
      const dir = await client.copyProject("shouting");
      await allSucceed(client, dir, ["mod download", "build ./..."]);
      const again = await modferry([...pull, "--delete", "--checksum"]);
      expectSuccess(again, "pull");
      expect(again.stderr).toMatch(
        /modferry: 0 files copied, 0 replaced, 0 removed, \d+ as they were; 0\.0 MB/,
      );
      expect((await readdir(to)).filter((name) => name.startsWith("."))).toEqual([]);
    },
    TIMEOUT,
  );

  test("says what is wrong before it writes anything", async () => {
    const folder = await world.folder();
    expect(await misuseOf(["pull", "--mirror", mirror], {})).toContain("--to: not given");
    const within = join(mirror, "tree/pulled");
    expect(await misuseOf(["pull", "--mirror", mirror, "--to", within], {})).toContain(
      "lies in the mirror itself",
    );
    const none = join(folder, "none");
    expect(await misuseOf(["pull", "--mirror", none, "--to", folder], {})).toContain("no mirror here");
    expect(await readdir(join(mirror, "tree"))).not.toContain("pulled");
  });
});
