import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { type LoopbackUpstream, startUpstream } from "../upstream/loopback-upstream.ts";
import { fillModuleCache } from "../upstream/module-cache.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { modferry, serveMirror } from "./modferry-command.ts";

const PROJECT = "shouting";
const GO_MOD = join(projectDir(PROJECT), "go.mod");
const INTERNAL = "github.com/BurntSushi";
const ESCAPED = "github.com/!burnt!sushi";
const TIMEOUT = 300_000;

/** Every file below a folder with its content's hash. */
async function contents(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    found[file.slice(folder.length + 1)] = createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  }
  return found;
}

describeWithGo("a mirror of several checksum databases, with the real go command", () => {
  let world: MirrorWorld;
  let second: LoopbackUpstream;
  /** The second one's own address, as `--sumdb` takes it. */
  let secondUrl: string;
  beforeAll(async () => {
    world = await mirrorWorld([PROJECT]);
    const trees = [await fillModuleCache(PROJECT)];
    second = await startUpstream({ trees, preset: true, synthetic: 700, sumdbName: "second.example.test" });
    secondUrl = `${second.url}/sumdb/${second.sumdbName}`;
  }, TIMEOUT);
  afterAll(async () => {
    await second?.close();
    await world?.close();
  });

  const sync = (mirror: string, sumdbs: string[], more: string[] = []) => {
    const flags = sumdbs.flatMap((sumdb) => ["--sumdb", sumdb]);
    return modferry([
      "sync",
      GO_MOD,
      "--mirror",
      mirror,
      "--upstream",
      world.upstream.url,
      ...flags,
      ...more,
    ]);
  };
  const tree = (mirror: string) => `file://${join(mirror, "tree")}`;

  test(
    "clients of either database verify from one folder offline, and clients of both served",
    async () => {
      const mirror = await world.folder();
      const sumdbs = [world.upstream.vkey, `${second.vkey} ${secondUrl}`];
      expectSuccess(await sync(mirror, sumdbs), "sync");
      const flags = sumdbs.flatMap((sumdb) => ["--sumdb", sumdb]);
      expectSuccess(await modferry(["verify", "--mirror", mirror, ...flags]), "verify with both keys");
      const served = await serveMirror(mirror);
      try {
        for (const gosumdb of [world.upstream.vkey, second.vkey]) {
          const client = await world.client(tree(mirror), { env: { GOSUMDB: gosumdb } });
          const dir = await client.copyProject(PROJECT);
          await rm(join(dir, "go.sum"));
          await allSucceed(client, dir, ["mod tidy", "build ./...", "mod verify"]);
          const connected = await world.client(served.url, { env: { GOSUMDB: gosumdb } });
          const at = await connected.copyProject(PROJECT);
          await rm(join(at, "go.sum"));
          await allSucceed(connected, at, ["mod download all"]);
        }
      } finally {
        await served.stop();
      }
    },
    TIMEOUT,
  );

  test(
    "a database covers the modules that its patterns name, and no other one hears of them",
    async () => {
      const mirror = await world.folder();
      await world.upstream.reset();
      await second.reset();
      expectSuccess(
        await sync(mirror, [world.upstream.vkey, `${second.vkey} ${secondUrl} ${INTERNAL}`]),
        "sync",
      );
      const lookups = async ({ counts }: LoopbackUpstream) =>
        Object.keys((await counts()).paths).filter((path) => path.includes("/lookup/"));
      const [first, internal] = [await lookups(world.upstream), await lookups(second)];
      const named = (path: string) => path.includes(`/lookup/${ESCAPED}/`);
      expect(first.filter(named)).toEqual([]);
      expect(internal.length).toBeGreaterThan(0);
      expect(internal.filter((path) => !named(path))).toEqual([]);
      const client = await world.client(tree(mirror), { env: { GOSUMDB: second.vkey } });
      const dir = await client.copyProject(PROJECT);
      await allSucceed(client, dir, [`mod download ${INTERNAL}/toml`]);
    },
    TIMEOUT,
  );

  test(
    "one that came later covers what is held once that is asked for again",
    async () => {
      const mirror = await world.folder();
      expectSuccess(await sync(mirror, [world.upstream.vkey]), "sync with one");
      const before = await contents(join(mirror, "tree"));
      expectSuccess(
        await sync(mirror, [world.upstream.vkey, `${second.vkey} ${secondUrl}`]),
        "sync with both",
      );
      const after = await contents(join(mirror, "tree"));
      for (const [file, hash] of Object.entries(before)) expect(after[file], file).toBe(hash);
      const client = await world.client(tree(mirror), { env: { GOSUMDB: second.vkey } });
      const dir = await client.copyProject(PROJECT);
      await rm(join(dir, "go.sum"));
      await allSucceed(client, dir, ["mod tidy", "mod download all"]);
    },
    TIMEOUT,
  );
});

describeWithGo("a mirror whose checksum database forks, with the real go command", () => {
  const NAME = "forking.example.test";
  let world: MirrorWorld;
  let fork: LoopbackUpstream;
  beforeAll(async () => {
    const shape = { sumdbName: NAME, seed: "one key" };
    world = await mirrorWorld([PROJECT], { ...shape, synthetic: 3_000 });
    const trees = [await fillModuleCache(PROJECT)];
    fork = await startUpstream({ trees, preset: true, ...shape, synthetic: 4_000 });
    expect(fork.vkey).toBe(world.upstream.vkey);
  }, TIMEOUT);
  afterAll(async () => {
    await fork?.close();
    await world?.close();
  });

  test(
    "it goes on serving what it had, publishes nothing more of it, and says so until that is cleared",
    async () => {
      const mirror = await world.folder();
      const from = (upstream: LoopbackUpstream) => ["--upstream", upstream.url, "--sumdb", upstream.vkey];
      const sync = (...args: string[]) => modferry(["sync", ...args, "--mirror", mirror]);
      expectSuccess(await sync(`${INTERNAL}/toml@v1.3.2`, ...from(world.upstream)), "sync");
      // A client that knows our head, and one that knows the fork's.
      const known = await world.client(`file://${join(mirror, "tree")}`);
      const dir = await known.copyProject(PROJECT);
      const download = ["mod", "download", `${INTERNAL}/toml@v1.3.2`];
      expectSuccess(await known.run(download, { cwd: dir }), "go mod download");
      const misled = await world.client(fork.url);
      const misledDir = await misled.copyProject(PROJECT);
      await rm(join(misledDir, "go.sum"));
      expectSuccess(await misled.run(download, { cwd: misledDir }), "go mod download from the fork");
      const before = await contents(join(mirror, "tree"));

      for (let run = 0; run < 2; run++) {
        const forked = await sync(GO_MOD, ...from(fork));
        expect(forked.code, forked.stderr).toBe(1);
        const lines = forked.stderr
          .split("\n")
          .filter((line) => line.startsWith("modferry: checksum database"));
        expect(lines).toHaveLength(1);
        expect(lines[0]).toContain(`modferry sync --clear-fork ${NAME}`);
      }
      expect(await contents(join(mirror, "tree"))).toEqual(before);
      const evidence = Object.entries(await contents(join(mirror, "vault", "evidence", "fork")));
      expect(evidence).toHaveLength(1);
      // Under the name of its content.
      for (const [name, hash] of evidence) expect(name).toBe(hash);
      const verified = await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]);
      // All else is as it must be.
      expect(verified).toMatchObject({ code: 1, stderr: expect.stringContaining("1 findings") });
      expect(verified.stdout).toMatch(/: stopped, for it signed two histories: /);

      // Modules that the database does not cover are mirrored all the same.
      const others = await sync(`${INTERNAL}/toml@v1.3.2`, ...from(fork), "--no-sumdb", "*");
      expect(others.code).toBe(1);
      expect(others.stderr).not.toContain("FAILED");

      for (const client of [known, await world.client(`file://${join(mirror, "tree")}`)]) {
        await client.clearModCache();
        const at = await client.copyProject(PROJECT);
        await rm(join(at, "go.sum"));
        expectSuccess(await client.run(download, { cwd: at }), "go mod download from a stopped mirror");
      }
      // A client that was shown the fork trusts nothing here: go finds no way from its head to ours.
      const shown = await world.client(`file://${join(mirror, "tree")}`, { home: misled.home });
      await shown.clearModCache();
      await rm(join(misledDir, "go.sum"), { force: true });
      const refused = await shown.run(download, { cwd: misledDir });
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/SECURITY ERROR|checking tree#\d+/);

      const unknown = await sync("--clear-fork", "other.example.test", ...from(world.upstream));
      expect([unknown.code, unknown.stderr]).toEqual([
        2,
        expect.stringContaining("no checksum database that is stopped"),
      ]);
      const cleared = await sync("--clear-fork", NAME, ...from(world.upstream));
      expectSuccess(cleared, "sync --clear-fork");
      expect(cleared.stderr).toContain(`${NAME}: goes on`);
      expectSuccess(await sync(GO_MOD, ...from(world.upstream)), "sync after it");
      expect(Object.entries(await contents(join(mirror, "vault", "evidence", "fork")))).toEqual(evidence);
      expect(await readdir(join(mirror, "vault", "decisions", "clear-fork"))).toHaveLength(1);
      const after = await world.client(`file://${join(mirror, "tree")}`);
      const last = await after.copyProject(PROJECT);
      await rm(join(last, "go.sum"));
      await allSucceed(after, last, ["mod tidy", "build ./..."]);
    },
    TIMEOUT,
  );
});
