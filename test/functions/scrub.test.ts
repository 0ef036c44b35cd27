import { afterAll, expect, test, vi } from "vitest";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { MadeMirror, TestClock } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { newKeys, PrivateDatabase } from "../mirror/private-database.ts";
import { drop } from "../mirror/scrub/scrub-world.ts";
import { engineFile } from "./engine-file.ts";
import { smallGoproxy } from "./small-goproxy.ts";

const TIMEOUT = 180_000;
const keys = newKeys("sum.example.org");

class Upstream extends MadeUpstream {
  override database = new PrivateDatabase("sum.example.org", keys);
}

afterAll(async () => {
  vi.unstubAllEnvs();
  await stopEmulator();
});

describeWithEmulator("the scrub function", () => {
  test(
    "looks at what it is told to, mends it from the configured upstream, and says how far it came",
    async () => {
      const settings = await emulatedAws();
      const [tree, vault, ledger, queue] = await Promise.all([
        newTree(settings),
        newVault(settings),
        newLedger(settings),
        newQueue(settings),
      ]);
      const made = new Upstream();
      made.database.grow(300);
      made.add("example.com/a@v1.0.0");
      const stores = { tree: tree.tree, vault: vault.vault, ledger: ledger.ledger, clock: new TestClock() };
      const mirror = new MadeMirror(made, {}, {
        ...stores,
        queue: new MemoryQueue(),
      } as unknown as MadeMirror);
      await mirror.request({ wishes: ["example.com/a@v1.0.0"] });
      await drop(mirror.tree, "example.com/a/@v/v1.0.0.zip");
      await using goproxy = await smallGoproxy(made);
      const environment = {
        AWS_REGION: settings.region,
        AWS_ENDPOINT_URL: settings.endpointUrl ?? "",
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        MODFERRY_TREE_BUCKET: tree.bucket,
        MODFERRY_VAULT_BUCKET: vault.bucket,
        MODFERRY_TABLE: ledger.table,
        MODFERRY_FRESH_QUEUE_URL: queue.urls.fresh,
        MODFERRY_BACKFILL_QUEUE_URL: queue.urls.backfill,
        MODFERRY_ENGINE_FILE: engineFile({
          upstreams: [{ name: "made", url: goproxy.url }],
          sumdb: [{ key: keys.verifier }],
        }),
      };
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
      const { handler } = await import("../../functions/scrub.ts");
      const context = { getRemainingTimeInMillis: () => 300_000 } as never;
      expect(await handler({ level: "quick" }, context)).toEqual({ finished: true });
      expect(await mirror.keys()).toContain("example.com/a/@v/v1.0.0.zip");
      for (const shard of ["1/2", "2/2"])
        expect(await handler({ level: "deep", shard }, context)).toEqual({ finished: true });
      const item = await ledger.ledger.readItem("control", "scrub/quick/1of1");
      expect(item?.value).toMatchObject({ counts: { findings: 1, restored: 1, lost: 0 } });
      await expect(handler({ level: "deep", shard: "3/2" }, context)).rejects.toThrow("give a part");
      await expect(handler({}, context)).rejects.toThrow();
    },
    TIMEOUT,
  );
});
