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

      const first = (await world.upstream.counts()).kinds;
      await world.upstream.reset();
      expectSuccess(await modferry(argsFor(mirror)), "the next run");
      const { kinds } = await world.upstream.counts();
      const fresh = await world.upstream.reset().then(() => world.synced([goMod]));
      const all = (await world.upstream.counts()).kinds;
      expect(fresh).not.toBe(mirror);
      expect(kinds.zip ?? 0, "zips of the second run").toBeLessThan(all.zip ?? 0);
      expect(first.zip ?? 0).toBeGreaterThan(0);
      expect(await brokenPromises(mirror, world.upstream.vkey, "whole")).toEqual([]);
    },
    TIMEOUT,
  );
});
