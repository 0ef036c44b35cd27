import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Of } from "../../mirror/body.ts";
import { describeWithGo } from "../go-command.ts";
import { brokenPromises } from "./broken-promises.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld, writeFiles } from "./mirror-world.ts";
import { modferry } from "./modferry-command.ts";

const CHILD = resolve(import.meta.dirname, "kill-child.ts");
const SIGKILLED = 128 + 9;
const TIMEOUT = 1_800_000;
/** By so many may a run have fewer writes than another: what runs side by side is combined in other ways. */
const FEWER_WRITES = 5;

/** Four modules: one with a dependency of its own, one escaped, one without a go.mod; three are roots with a list. */
const GO_MOD = `module example.com/killed

go 1.21

require (
\tgithub.com/BurntSushi/toml v1.3.2
\tgithub.com/mitchellh/copystructure v1.0.0
\tgithub.com/pkg/errors v0.9.1
)

require github.com/mitchellh/reflectwalk v1.0.0 // indirect
`;
const MAIN = `package main

import (
\t"github.com/BurntSushi/toml"
\t"github.com/mitchellh/copystructure"
\t"github.com/pkg/errors"
)

func main() { println(toml.Key{"a"}.String(), copystructure.Must(nil, errors.New("a"))) }
`;

describeWithGo("a sync that is killed", () => {
  let world: MirrorWorld;
  let project: string;
  /** Trees as they lie after the second run, by the hash of all they hold: to be shown to the go command. */
  const trees = new Map<string, string>();

  beforeAll(async () => {
    world = await mirrorWorld(["modern", "shouting"], { synthetic: 600 });
    project = await world.folder();
    await writeFiles(project, { "go.mod": GO_MOD, "main.go": MAIN });
  });
  afterAll(() => world?.close());

  const syncArgs = (mirror: string) => {
    const { url, vkey } = world.upstream;
    return ["sync", "go.mod", "--mirror", mirror, "--upstream", url, "--sumdb", vkey];
  };

  async function countWrites(store: string, moment: string): Promise<number> {
    const folder = await world.folder();
    const counted = join(folder, "count");
    const through = [CHILD, store, moment, "0", counted];
    const run = await modferry(syncArgs(join(folder, "mirror")), { cwd: project, through });
    expectSuccess(run, "a sync that is only counted");
    return Number(await readFile(counted, "utf8"));
  }

  /** @returns whether the run came as far as the write at which it was to die. */
  async function killAt(store: string, moment: string, nth: number): Promise<boolean> {
    const folder = await world.folder();
    const mirror = join(folder, "mirror");
    const what = `killed ${moment} write ${nth} of the ${store}`;
    const through = [CHILD, store, moment, `${nth}`, ""];
    const killed = await modferry(syncArgs(mirror), { cwd: project, through });
    // The order of concurrent writes differs between runs, and so does their number by a few.
    expect([SIGKILLED, 0], `${what}: ${killed.stderr}`).toContain(killed.code);
    expect(await brokenPromises(mirror, world.upstream.vkey), what).toEqual([]);

    expectSuccess(await modferry(syncArgs(mirror), { cwd: project }), `the run after: ${what}`);
    expect(await brokenPromises(mirror, world.upstream.vkey, "whole"), `after a second run, ${what}`).toEqual(
      [],
    );
    const content = await contentOf(join(mirror, "tree"));
    if (trees.has(content)) await rm(folder, { recursive: true });
    else trees.set(content, mirror);
    return killed.code === SIGKILLED;
  }

  describe.each([
    { store: "tree", least: 20, fewer: FEWER_WRITES },
    { store: "vault", least: 2, fewer: 0 },
    { store: "ledger", least: 20, fewer: FEWER_WRITES },
  ])("at each write of the $store", ({ store, least, fewer }) => {
    test.each(["after", "before"])(
      "right %s it: lists name only what is there, lookups verify, and a second run ends whole",
      async (moment) => {
        const writes = await countWrites(store, moment);
        expect(writes).toBeGreaterThanOrEqual(least);
        const limit = pLimit(2);
        const rounds = Array.from({ length: writes }, (_, at) => limit(() => killAt(store, moment, at + 1)));
        const ends = await Promise.allSettled(rounds);
        const failed = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
        expect(failed).toEqual([]);
        const deaths = ends.filter((end) => end.status === "fulfilled" && end.value).length;
        expect(deaths, `of ${writes} runs that were to die`).toBeGreaterThanOrEqual(writes - fewer);
        console.log(
          `kill: ${deaths} of ${writes} deaths right ${moment} a write of the ${store}; ${trees.size} different trees so far`,
        );
      },
      TIMEOUT,
    );
  });

  test(
    "whatever tree came out of it, `modferry verify` and the go command accept it",
    async () => {
      // Wherever it died, the result is the same (docs/architecture.md, What must always hold, 5).
      expect([...trees.values()]).toHaveLength(1);
      for (const mirror of trees.values()) {
        expectSuccess(
          await modferry(["verify", "--mirror", mirror, "--sumdb", world.upstream.vkey]),
          "verify",
        );
        const client = await world.client(`file://${join(mirror, "tree")}`);
        const dir = join(client.home, "project");
        await mkdir(dir);
        await writeFiles(dir, { "go.mod": GO_MOD, "main.go": MAIN });
        await allSucceed(client, dir, ["mod tidy", "build ./...", "mod download all", "mod verify"]);
        await allSucceed(client, dir, ["list -m -versions github.com/BurntSushi/toml"]);
      }
    },
    TIMEOUT,
  );
});

/** One hash over every file's name and bytes. */
async function contentOf(tree: string): Promise<string> {
  const entries = await readdir(tree, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const lines = await Promise.all(
    files.map(async (file) => `${file.slice(tree.length)} ${sha256Of(await readFile(file))}\n`),
  );
  return sha256Of(Buffer.from(lines.sort().join("")));
}
