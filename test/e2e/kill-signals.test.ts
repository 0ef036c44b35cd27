import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { projectDir } from "../upstream/sample-projects.ts";
import { brokenPromises } from "./broken-promises.ts";
import { allSucceed, expectSuccess, type MirrorWorld, mirrorWorld } from "./mirror-world.ts";
import { ended, modferry, spawnModferry } from "./modferry-command.ts";

const TIMEOUT = 300_000;
const ROUNDS = 6;
/** Far above what a loaded machine needs to end a process, in ms. */
const PROMPT = 10_000;

describeWithGo("a sync that a signal ends", () => {
  let world: MirrorWorld;
  const goMod = join(projectDir("legacy"), "go.mod");
  beforeAll(async () => {
    world = await mirrorWorld(["legacy"]);
  });
  afterAll(() => world?.close());

  const argsFor = (mirror: string) => {
    const { url, vkey } = world.upstream;
    return ["sync", goMod, "--mirror", mirror, "--upstream", url, "--sumdb", vkey];
  };

  test(
    `SIGKILL at ${ROUNDS} random moments, the last run left alone: at no moment is a promise broken`,
    async () => {
      const at = performance.now();
      await world.synced([goMod]);
      const whole = performance.now() - at;
      const mirror = await world.folder();
      for (let round = 0; round < ROUNDS; round++) {
        const child = spawnModferry(argsFor(mirror));
        const run = ended(child);
        await sleep(whole * (0.2 + 0.6 * Math.random()));
        child.kill("SIGKILL");
        await run;
        expect(await brokenPromises(mirror, world.upstream.vkey), `after round ${round}`).toEqual([]);
      }
      expectSuccess(await modferry(argsFor(mirror)), "the last run");
      expect(await brokenPromises(mirror, world.upstream.vkey, "whole")).toEqual([]);
      const client = await world.client(`file://${join(mirror, "tree")}`);
      await allSucceed(client, await client.copyProject("legacy"), ["mod tidy", "mod download all"]);
    },
    TIMEOUT,
  );

  test(
    "Ctrl-C in the middle: 130 at once, no promise broken, and the next run fetches only what is left",
    async () => {
      const mirror = await world.folder();
      await world.upstream.reset();
      const child = spawnModferry([...argsFor(mirror), "--json"]);
      const run = ended(child);
      await new Promise<void>((found) => {
        let fetched = 0;
        child.stdout.on("data", (chunk: string) => {
          fetched += chunk.split('"held":"whole"').length - 1;
          if (fetched >= 3) found();
        });
      });
      const at = performance.now();
      child.kill("SIGINT");
      const { code, stderr } = await run;
      expect(performance.now() - at).toBeLessThan(PROMPT);
      expect([code, stderr]).toEqual([130, "modferry: stopped by SIGINT; run it again to go on\n"]);
      expect(await brokenPromises(mirror, world.upstream.vkey)).toEqual([]);

      const had = filesAsked(await world.upstream.counts());
      expect(had.length).toBeGreaterThan(0);
      await world.upstream.reset();
      expectSuccess(await modferry(argsFor(mirror)), "the next run");
      const asked = await world.upstream.counts();
      const twice = Object.entries(asked.paths).filter(([, count]) => count > 1);
      expect(twice, "asked more than once by the next run").toEqual([]);
      const zips = await heldZips(mirror);
      expect(filesAsked(asked).length, "fewer than all").toBeLessThan(zips);
      expect(await brokenPromises(mirror, world.upstream.vkey, "whole")).toEqual([]);
    },
    TIMEOUT,
  );
});

/** The zips that were asked of the upstream. */
function filesAsked({ paths }: { paths: Readonly<Record<string, number>> }): string[] {
  return Object.keys(paths).filter((path) => path.endsWith(".zip"));
}

async function heldZips(mirror: string): Promise<number> {
  const names = await readdir(join(mirror, "tree"), { recursive: true });
  return names.filter((name) => name.endsWith(".zip")).length;
}
