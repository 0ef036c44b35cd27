import { PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, expect, test, vi } from "vitest";
import { s3Client } from "../../adapters/aws/clients.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { fakeS3Control } from "../contract/s3-control.ts";
import { MadeMirror, TestClock } from "../mirror/made-mirror.ts";
import { MadeUpstream } from "../mirror/made-upstream.ts";
import { newKeys, PrivateDatabase } from "../mirror/private-database.ts";
import { drop } from "../mirror/scrub/scrub-world.ts";
import { engineFile } from "./engine-file.ts";
import { smallGoproxy } from "./small-goproxy.ts";

const TIMEOUT = 180_000;
const keys = newKeys("sum.example.org");
const NAMES = ["example.com/a@v1.0.0", "example.com/B@v1.0.0", "example.com/c@v2.0.0+incompatible"];

class Upstream extends MadeUpstream {
  override database = new PrivateDatabase("sum.example.org", keys);
}

afterAll(async () => {
  vi.unstubAllEnvs();
  await stopEmulator();
});

describeWithEmulator("the scrub function with checksum jobs", () => {
  test(
    "orders a job of S3's over the bucket, compares what it says of the bytes there, and mends them",
    async () => {
      const settings = await emulatedAws();
      const [tree, vault, ledger, queue] = await Promise.all([
        newTree(settings),
        newVault(settings),
        newLedger(settings),
        newQueue(settings),
      ]);
      const client = s3Client(settings);
      const emulator = settings.endpointUrl ?? "";
      const control = await fakeS3Control({ emulator, client, secret: "test" });
      const made = new Upstream();
      made.database.grow(300);
      for (const name of NAMES) made.add(name);
      const stores = { tree: tree.tree, vault: vault.vault, ledger: ledger.ledger, clock: new TestClock() };
      const mirror = new MadeMirror(made, {}, {
        ...stores,
        queue: new MemoryQueue(),
      } as unknown as MadeMirror);
      await mirror.request({ wishes: NAMES });
      await using goproxy = await smallGoproxy(made);
      const environment = {
        AWS_REGION: settings.region,
        AWS_ENDPOINT_URL: control.url,
        AWS_ACCESS_KEY_ID: "test",
        AWS_SECRET_ACCESS_KEY: "test",
        MODFERRY_TREE_BUCKET: tree.bucket,
        MODFERRY_VAULT_BUCKET: vault.bucket,
        MODFERRY_TABLE: ledger.table,
        MODFERRY_FRESH_QUEUE_URL: queue.urls.fresh,
        MODFERRY_BACKFILL_QUEUE_URL: queue.urls.backfill,
        MODFERRY_BATCH_ROLE: "arn:aws:iam::123456789012:role/mirror-scrub-batch-us-east-1",
        MODFERRY_ENGINE_FILE: engineFile({
          upstreams: [{ name: "made", url: goproxy.url }],
          sumdb: [{ key: keys.verifier }],
        }),
      };
      for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
      const { handler } = await import("../../functions/scrub.ts");
      const context = { getRemainingTimeInMillis: () => 300_000 } as never;
      const call = (event: object) => handler(event, context);
      const tick = { level: "batch", every: "30d" };
      expect(await call(tick)).toEqual({ finished: false });
      expect(await call(tick)).toEqual({ finished: false });
      const [[job = "", order = ""] = []] = control.orders;
      expect(control.orders.size).toBe(1);
      expect(order).toContain(`<RoleArn>${environment.MODFERRY_BATCH_ROLE}</RoleArn>`);
      const lost = "example.com/!b/@v/v1.0.0.zip";
      const damaged = "example.com/c/@v/v2.0.0+incompatible.mod";
      await drop(mirror.tree, lost);
      await client.send(new PutObjectCommand({ Bucket: tree.bucket, Key: damaged, Body: "damaged" }));
      await control.run(job);
      expect(await call(tick)).toEqual({ finished: true });
      const item = await ledger.ledger.readItem("control", "scrub/batch/1of1");
      expect(item?.value).toMatchObject({ counts: { files: 9, findings: 2, restored: 2, lost: 0 } });
      expect(await mirror.keys()).toContain(lost);
      const mended = await mirror.tree.get(damaged as never, 1_000_000);
      expect(Buffer.from(mended?.bytes ?? "").toString()).toContain("module example.com/c");
      // It rests now; a person may order another.
      expect(await call(tick)).toEqual({ finished: true });
      expect(control.orders.size).toBe(1);
      expect(await call({ level: "batch" })).toEqual({ finished: false });
      const [, second = ""] = [...control.orders.keys()];
      await control.run(second);
      expect(await call({ level: "batch" })).toEqual({ finished: true });
      const after = await ledger.ledger.readItem("control", "scrub/batch/1of1");
      expect(after?.value).toMatchObject({ counts: { files: 9, findings: 0 } });
      await expect(call({ level: "batch", every: "soon" })).rejects.toThrow();
      await control.close();
    },
    TIMEOUT,
  );
});
