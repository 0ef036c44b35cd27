import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { ended, modferry, type ServedMirror, serveMirror, spawnModferry } from "./modferry-command.ts";

const TIMEOUT = 280_000;
const TOKEN = "the-token-of-CI";
const TOML = "github.com/BurntSushi/toml";

/** What an operator runs: `sync --config … --every` as the one writer, and `serve`, which takes requests. */
describeWithGo("a mirror that is run by its configuration", () => {
  let world: MirrorWorld;
  let mirror: string;
  let config: string;
  let writer: ReturnType<typeof spawnModferry> | undefined;
  let written: ReturnType<typeof ended> | undefined;
  let served: ServedMirror | undefined;

  beforeAll(async () => {
    world = await mirrorWorld(["shouting", "modern"]);
    mirror = await world.folder();
    config = join(await world.folder(), "mirror.json");
    await writeFile(
      config,
      JSON.stringify({
        name: "desk",
        upstreams: [{ name: "loopback", url: world.upstream.url }],
        sumdb: [{ key: world.upstream.vkey }],
        sumdbTiles: "needed",
        subscriptions: [{ modules: [TOML], versions: "all" }],
        feeds: { poll: {} },
      }),
    );
  });
  afterAll(async () => {
    writer?.kill("SIGTERM");
    await written;
    await served?.stop();
    await world?.close();
  });

  const request = (args: readonly string[], token = TOKEN) =>
    modferry(["request", ...args, "--mirror", served?.url ?? "", "--wait", "--timeout", "120s"], {
      env: { MODFERRY_TOKEN: token },
    });

  test(
    "reads its feeds once, and ends with 0",
    async () => {
      const once = await modferry(["sync", "--config", config, "--mirror", mirror, "--once"]);
      expectSuccess(once, "sync --once");
      const listed = await readFile(join(mirror, "tree/github.com/!burnt!sushi/toml/@v/list"), "utf8");
      expect(listed).toContain("v1.3.2\n");
    },
    TIMEOUT,
  );

  test(
    "takes a request over the endpoint, and says when it is served: go then builds from it",
    async () => {
      writer = spawnModferry(["sync", "--config", config, "--mirror", mirror, "--every", "1h"]);
      written = ended(writer);
      served = await serveMirror(mirror, [], { env: { MODFERRY_TOKEN: TOKEN } });
      const dir = projectDir("shouting");
      const done = await request([join(dir, "go.mod"), "--name", "team/app"]);
      expectSuccess(done, "request --wait");
      expect(done.stderr).toMatch(/modferry: team\/app\/\d{8}T\d{9}Z: served, \d+ module versions/);
      const client = await world.client(served.url);
      await allSucceed(client, await client.copyProject("shouting"), ["mod download", "build ./..."]);
    },
    TIMEOUT,
  );

  test(
    "says at once what cannot be served, and why",
    async () => {
      const lacking = await request(["github.com/BurntSushi/toml@v9.9.9+incompatible"]);
      expect(lacking.code).toBe(1);
      expect(lacking.stderr).toContain("missing: 1\n");
      expect(lacking.stderr).toMatch(/toml@v9\.9\.9\+incompatible +GONE/);
      const beside = await modferry(["request", `${TOML}@v1.3.2`, "--mirror", mirror, "--wait"]);
      expectSuccess(beside, "request beside the writer");
      const stranger = await request([`${TOML}@v1.3.2`], "another");
      expect([stranger.code, stranger.stderr]).toEqual([
        2,
        expect.stringMatching(/^modferry: MODFERRY_TOKEN: 127\.0\.0\.1:\d+ does not take it\n$/),
      ]);
      const second = await modferry(["sync", "--config", config, "--mirror", mirror, "--once"]);
      expect([second.code, second.stderr]).toEqual([2, expect.stringContaining("is being written by pid")]);
    },
    TIMEOUT,
  );

  test.each([
    ["a field that is none", { upstream: "x" }, "upstream: no such field"],
    ["a field that is wrong", { subscriptions: [{ modules: ["[x"] }] }, "subscriptions.0.modules.0: "],
  ])("a configuration with %s ends in one line that names it", async (_what, more, said) => {
    const wrong = join(await world.folder(), "wrong.json");
    await writeFile(wrong, JSON.stringify({ ...JSON.parse(await readFile(config, "utf8")), ...more }));
    const run = await modferry(["sync", "--config", wrong, "--mirror", await world.folder()]);
    expect([run.code, run.stderr.trimEnd().split("\n").length]).toEqual([2, 1]);
    expect(run.stderr).toContain(`--config ${wrong}: ${said}`);
  });
});
