import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { GetObjectCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { s3Client } from "../../adapters/aws/clients.ts";
import { physicalNames } from "../../adapters/aws/physical-names.ts";
import { LOCAL_ACCOUNT, LOCAL_NAME, LOCAL_REGION } from "../../infra/local/local-configuration.ts";
import { readMark } from "../../mirror/bundle/mark.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { describeWithGo } from "../go-command.ts";
import { type BundleWorld, bundleWorld } from "./bundle-world.ts";
import { type DeployedWorld, deployedWorld } from "./deployed-world.ts";
import { allSucceed } from "./mirror-world.ts";

const TIMEOUT = 900_000;
/** A message that met another import is looked at a minute later. */
const ARRIVED = 240_000;
const { bundleBucket: Bucket } = physicalNames(LOCAL_NAME, LOCAL_ACCOUNT, LOCAL_REGION);

describeWithGo("a deployed island with no upstream", () => {
  describeWithEmulator("in an emulator", () => {
    let outside: BundleWorld;
    let island: DeployedWorld;
    let s3: S3Client;

    beforeAll(async () => {
      outside = await bundleWorld();
      s3 = s3Client(await emulatedAws());
      island = await deployedWorld({
        // Nobody listens there.
        url: "http://127.0.0.1:9",
        sumdb: [{ key: outside.world.upstream.vkey }],
        bundles: { inbox: true, trust: [{ key: outside.vkey }] },
      });
    }, TIMEOUT);
    afterAll(async () => {
      await outside?.close();
      await island?.close();
      await stopEmulator();
    });

    /** As `aws s3 cp --recursive` of a disc. */
    async function upload(folder: string, name: string): Promise<void> {
      for (const file of await readdir(folder)) {
        const path = join(folder, file);
        const ContentLength = (await stat(path)).size;
        const Key = `inbox/${name}/${file}`;
        await s3.send(new PutObjectCommand({ Bucket, Key, Body: createReadStream(path), ContentLength }));
      }
    }

    async function read(Key: string): Promise<string | undefined> {
      try {
        return await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();
      } catch (error) {
        if (error instanceof Error && error.name === "NoSuchKey") return undefined;
        throw error;
      }
    }

    async function answered(key: string): Promise<Record<string, unknown>> {
      for (const until = Date.now() + ARRIVED; Date.now() < until; await sleep(1_000)) {
        const text = await read(key);
        if (text !== undefined) return JSON.parse(text) as Record<string, unknown>;
      }
      return expect.fail(`${key}: did not come`);
    }

    test(
      "takes what is dropped into its inbox, and go builds from its endpoint with nothing else; a skipped increment waits for what is missing",
      async () => {
        const client = await outside.world.client(island.goproxy);
        const modern = await client.copyProject("modern");
        for (const at of [0, 1]) {
          await upload(outside.bundles[at] ?? "", `disc-${at}`);
          const receipt = await answered(`inbox/disc-${at}/receipt.json`);
          expect(receipt).toMatchObject({ snapshot: outside.snapshots[at] });
          expect((await readMark(island.mirror.ledger))?.snapshot).toBe(outside.snapshots[at]);
          await client.clearModCache();
          await allSucceed(client, modern, ["mod download all", "build ./...", "mod verify"]);
        }
        const shouting = await client.copyProject("shouting");
        await allSucceed(client, shouting, ["build ./..."]);
        await upload(outside.bundles[3] ?? "", "disc-3");
        expect(await answered("inbox/disc-3/refused.json")).toMatchObject({
          outcome: "gap",
          have: outside.snapshots[1],
          want: outside.snapshots[3],
        });
        expect(await answered("inbox/disc-3/needs.json")).toMatchObject({ have: outside.snapshots[1] });
        expect((await readMark(island.mirror.ledger))?.snapshot).toBe(outside.snapshots[1]);
        // The one between comes late: both are taken.
        await upload(outside.bundles[2] ?? "", "disc-2");
        await answered("inbox/disc-3/receipt.json");
        expect((await readMark(island.mirror.ledger))?.snapshot).toBe(outside.snapshots[3]);
        const files: string[] = [];
        for await (const { key } of island.mirror.tree.keys()) files.push(key);
        expect(files.sort()).toEqual(Object.keys(outside.trees[3] ?? {}).sort());
        await client.clearModCache();
        await allSucceed(client, modern, ["build ./..."]);
        expect((await island.deadLetters())["modferry-bundles-dead"]).toBe(0);
      },
      TIMEOUT,
    );
  });
});
