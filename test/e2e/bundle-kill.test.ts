import { cp, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithGo } from "../go-command.ts";
import { brokenPromises } from "./broken-promises.ts";
import { type BundleWorld, bundleWorld, filesOf, importInProcess } from "./bundle-world.ts";
import { allSucceed, expectSuccess } from "./mirror-world.ts";
import { ended, spawnModferry } from "./modferry-command.ts";

const TIMEOUT = 1_800_000;
const KILLS = Number(process.env.MODFERRY_KILLS ?? 50);
const SIGKILLED = 128 + 9;
const CHILD = resolve(import.meta.dirname, "bundle-kill-child.ts");

describeWithGo("an import that is killed", () => {
  let outside: BundleWorld;
  let base: string;
  beforeAll(async () => {
    outside = await bundleWorld();
    base = join(await outside.world.folder(), "island");
    await importInProcess(base, [outside.bundles[0] as string], outside);
  }, TIMEOUT);
  afterAll(() => outside?.close());

  test(
    `at ${KILLS} random moments: what was built before is built then, and the next run ends with the target, byte for byte`,
    async () => {
      const folder = await outside.world.folder();
      const island = join(folder, "island");
      const client = await outside.world.client(`file://${join(island, "tree")}`);
      const modern = await client.copyProject("modern");
      const bundles = outside.bundles.slice(1) as string[];
      const args = [
        "import",
        ...bundles,
        "--mirror",
        island,
        "--trust",
        outside.vkey,
        "--sumdb",
        outside.world.upstream.vkey,
      ];
      const fresh = async () => {
        await rm(island, { recursive: true, force: true });
        await cp(base, island, { recursive: true });
      };
      await fresh();
      const counted = join(folder, "count");
      const began = performance.now();
      expectSuccess(
        await ended(spawnModferry(args, { through: [CHILD, "0", counted] })),
        "an import that is counted",
      );
      const whole = performance.now() - began;
      const writes = Number(await readFile(counted, "utf8"));
      expect(writes).toBeGreaterThan(100);
      let killed = 0;
      const states = new Set<string>();
      for (let round = 0; round < KILLS; round++) {
        await fresh();
        // Two of three at a durable write, the others wherever they are; some more than once on their way.
        for (let blow = 0; blow <= round % 2; blow++) {
          const nth = 2 + Math.floor(Math.random() * 2 * writes);
          const isTimed = round % 3 === 2;
          const child = spawnModferry(args, isTimed ? {} : { through: [CHILD, String(nth), ""] });
          const timer = setTimeout(
            () => child.kill("SIGKILL"),
            isTimed ? whole * (0.2 + 0.7 * Math.random()) : TIMEOUT,
          );
          const { code, stderr } = await ended(child);
          clearTimeout(timer);
          expect([SIGKILLED, 0], stderr).toContain(code);
          if (code === SIGKILLED) killed++;
        }
        states.add(String(Object.keys(await filesOf(join(island, "tree"))).length));
        const broken = await brokenPromises(island, outside.world.upstream.vkey);
        expect(
          broken.filter((finding) => !finding.startsWith("-/vulndb/")),
          `round ${round}`,
        ).toEqual([]);
        await client.clearModCache();
        await allSucceed(client, modern, ["build ./..."]);
        expectSuccess(await ended(spawnModferry(args)), "the next run");
        expect(await filesOf(join(island, "tree")), `round ${round}`).toEqual(outside.trees[3]);
        expect(await readdir(join(island, "import")).catch(() => [])).toEqual([]);
      }
      console.log(
        `${killed} kills in ${KILLS} rounds; ${states.size} different numbers of files were seen in between`,
      );
      expect(killed).toBeGreaterThan(KILLS / 3);
    },
    TIMEOUT,
  );

  test(
    "an export that is killed is finished by the next, with the same bytes",
    async () => {
      const folder = await outside.world.folder();
      const args = (to: string) => [
        "export",
        "--full",
        "--volume-size",
        "14MB",
        "--mirror",
        outside.outside,
        "--to",
        to,
        "--key",
        outside.key,
      ];
      const wanted = join(folder, "wanted");
      await mkdir(wanted);
      const began = performance.now();
      expectSuccess(await ended(spawnModferry(args(wanted))), "export");
      const whole = performance.now() - began;
      for (let round = 0; round < 10; round++) {
        const to = join(folder, `to-${round}`);
        const child = spawnModferry(args(to));
        const timer = setTimeout(() => child.kill("SIGKILL"), whole * (0.3 + 0.7 * Math.random()));
        await ended(child);
        clearTimeout(timer);
        expectSuccess(await ended(spawnModferry(args(to))), "the next run");
        expect(await filesOf(to)).toEqual(await filesOf(wanted));
        await rm(to, { recursive: true });
      }
    },
    TIMEOUT,
  );
});
