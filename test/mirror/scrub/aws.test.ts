import { afterAll, expect, test } from "vitest";
import { MemoryQueue } from "../../../adapters/local/memory-queue.ts";
import { rebuildLedger } from "../../../mirror/recovery/rebuild-ledger.ts";
import { newLedger, newTree, newVault } from "../../contract/aws-stores.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../../contract/ministack.ts";
import { MadeMirror, TestClock } from "../made-mirror.ts";
import { MadeUpstream } from "../made-upstream.ts";
import { drop, flipBit, hashHere, scrubbed } from "./scrub-world.ts";

const TIMEOUT = 240_000;
const NAMES = ["a", "a-b", "a/b", "B"].map((path) => `example.com/${path}@v1.0.0`);

afterAll(stopEmulator);

describeWithEmulator("scrub and rebuild over S3 and DynamoDB", () => {
  test(
    "every level finds what is planted, mends it, and goes by the checksums that S3 keeps; a lost table is rebuilt",
    async () => {
      const settings = await emulatedAws();
      const [{ tree }, { vault }, { ledger }] = await Promise.all([
        newTree(settings),
        newVault(settings),
        newLedger(settings),
      ]);
      const upstream = new MadeUpstream();
      upstream.database.grow(300);
      for (const name of NAMES) upstream.add(name);
      const over = (table: typeof ledger) =>
        new MadeMirror(upstream, { tiles: "full" }, {
          tree,
          vault,
          ledger: table,
          queue: new MemoryQueue(),
          clock: new TestClock(),
        } as unknown as MadeMirror);
      const mirror = over(ledger);
      await mirror.request({ wishes: NAMES });
      await mirror.parts.database.complete();
      for (const level of ["quick", "deep", "stored"] as const)
        expect((await scrubbed(mirror, upstream, level)).names).toEqual([]);
      await drop(tree, "example.com/a-b/@v/v1.0.0.zip");
      await drop(tree, "example.com/!b/@v/list");
      await flipBit(tree, "example.com/a/@v/v1.0.0.mod");
      const planted = ["list example.com/!b/@v/list", "missing example.com/a-b/@v/v1.0.0.zip"];
      expect((await scrubbed(mirror, upstream, "quick")).names).toEqual(planted);
      let opened = 0;
      const open = tree.open.bind(tree);
      tree.open = (key) => {
        opened++;
        return open(key);
      };
      const stored: string[] = [];
      for (let day = 0; day < 30; day++, mirror.clock.ms += 86_400_000)
        stored.push(...(await scrubbed(mirror, upstream, "stored")).names);
      expect(stored.sort()).toEqual(["damaged example.com/a/@v/v1.0.0.mod", planted[1]]);
      // Nothing was read: what S3 had computed when it was stored is all that was asked.
      expect(opened).toBe(0);
      const mended = await scrubbed(mirror, upstream, "deep", { mends: "upstream" });
      expect(mended.findings.map(({ outcome }) => outcome)).toEqual(["restored", "restored"]);
      await scrubbed(mirror, upstream, "quick", { mends: "upstream" });
      for (const level of ["quick", "deep"] as const)
        expect((await scrubbed(mirror, upstream, level)).names).toEqual([]);
      const { ledger: table } = await newLedger(settings);
      const after = over(table);
      const { verifier } = upstream.database;
      const rebuilt = await rebuildLedger({
        ...after.parts,
        hasher: hashHere,
        verifiers: [verifier],
        covering: () => [verifier.name],
        found: ({ message }) => expect.fail(message),
        progress: () => {},
      });
      expect(rebuilt).toMatchObject({ rebuilt: 4, findings: 0 });
      for (const level of ["quick", "deep"] as const)
        expect((await scrubbed(after, upstream, level)).names).toEqual([]);
    },
    TIMEOUT,
  );
});
