import { AsyncLocalStorage } from "node:async_hooks";
import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import type { Context } from "aws-lambda";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type AwsSettings, clientOptions } from "../../adapters/aws/clients.ts";
import { kmsKey } from "../../adapters/aws/kms-key.ts";
import { kmsSigner } from "../../adapters/aws/kms-signer.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { block } from "../../mirror/block.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { type BundleWorld, bundleWorld, filesOf } from "../e2e/bundle-world.ts";
import { allSucceed, expectSuccess } from "../e2e/mirror-world.ts";
import { modferry } from "../e2e/modferry-command.ts";
import { describeWithGo } from "../go-command.ts";
import { BundleIsland, hurried, messagesOf, UNHURRIED } from "./bundle-island.ts";
import { engineFile } from "./engine-file.ts";
import { covers, grantedRights } from "./granted-rights.ts";
import { RecordedCalls } from "./recorded-calls.ts";

/** Calls of AWS by the function: a process that is dead makes no more of them. */
const calls = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY, made: 0, recorded: undefined as unknown }));
vi.mock("../../adapters/aws/clients.ts", async (original) => {
  const real = await original<typeof import("../../adapters/aws/clients.ts")>();
  type Watched = { middlewareStack: { add: (...args: never[]) => void } };
  const watch = <C extends Watched>(client: C): C => {
    const middleware = (next: (args: unknown) => Promise<unknown>) => async (args: unknown) => {
      calls.made++;
      if (calls.left-- <= 0) throw new Error("this process is dead");
      return await next(args);
    };
    client.middlewareStack.add(...([middleware, { step: "initialize", name: "mortal" }] as never[]));
    return (calls.recorded as RecordedCalls).watch(client as never) as C;
  };
  return {
    ...real,
    s3Client: (...args: Parameters<typeof real.s3Client>) => watch(real.s3Client(...args)),
    dynamoDbClient: (...args: Parameters<typeof real.dynamoDbClient>) => watch(real.dynamoDbClient(...args)),
    sqsClient: (...args: Parameters<typeof real.sqsClient>) => watch(real.sqsClient(...args)),
  };
});

const recorded = new RecordedCalls();
calls.recorded = recorded;
const TIMEOUT = 900_000;
/** Longer than a lease: that of a killed call has run out. */
const LEASE_OVER = 400_000;
let ahead = 0;

describeWithGo("bundles in an island's inbox", () => {
  describeWithEmulator("in an emulator", () => {
    let outside: BundleWorld;
    let settings: AwsSettings;
    let signerKey: string;

    beforeAll(async () => {
      const { now } = Date;
      vi.spyOn(Date, "now").mockImplementation(() => now() + ahead);
      [settings, outside] = await Promise.all([emulatedAws(), bundleWorld()]);
      const kms = new KMSClient(clientOptions(settings));
      const made = await kms.send(
        new CreateKeyCommand({ KeySpec: "ECC_NIST_EDWARDS25519", KeyUsage: "SIGN_VERIFY" }),
      );
      signerKey = made.KeyMetadata?.Arn ?? "";
    }, TIMEOUT);
    afterAll(async () => {
      vi.restoreAllMocks();
      await outside?.close();
      await stopEmulator();
    });
    afterEach(() => {
      calls.left = Number.POSITIVE_INFINITY;
      vi.unstubAllEnvs();
    });

    /** A new island, and its function as a new process has it. */
    const islandOf = async (trust = [{ key: outside.vkey }]) => {
      const island = await BundleIsland.make(settings);
      const engine = engineFile({
        upstreams: [{ name: "none", url: "http://127.0.0.1:9" }],
        sumdb: [{ key: outside.world.upstream.vkey }],
        bundles: { inbox: true, trust, signer: { name: "island.example", key: signerKey } },
      });
      const { tree, vault, queue } = island.stores;
      recorded.names.set(tree.bucket, "tree").set(vault.bucket, "vault").set(island.bucket, "bundles");
      recorded.names.set(queue.urls.fresh, "fresh").set(queue.urls.backfill, "backfill");
      recorded.names.set(island.queueUrl, "bundles-queue");
      const lines: Record<string, unknown>[] = [];
      const start = async () => {
        for (const [name, value] of Object.entries({ ...island.environment(), MODFERRY_ENGINE_FILE: engine }))
          vi.stubEnv(name, value);
        vi.resetModules();
        const { handler } = await import("../../functions/import.ts");
        return async (context: Context = UNHURRIED, bodies: readonly string[] = ["{}"]) => {
          const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
            for (const line of String(text).split("\n"))
              if (line.startsWith("{")) lines.push(JSON.parse(line) as Record<string, unknown>);
            return true;
          });
          try {
            await recorded.run("Import", () => handler(messagesOf(bodies), context));
          } finally {
            write.mockRestore();
          }
        };
      };
      const actions = () => lines.map((line) => (line.event as { action: string }).action);
      const told = (action: string) =>
        lines.filter((line) => (line.event as { action: string }).action === action);
      return { island, start, actions, told, lines };
    };

    test(
      "volumes come in any order; the bundle is imported with the last of them, and so is each increment; go builds from it",
      async () => {
        const { island, start, told } = await islandOf();
        const call = await start();
        const folder = await outside.world.folder();
        const volumes = await outside.export("--full", "--to", folder, "--volume-size", "13MB");
        const names = readdirSync(volumes).sort().reverse();
        expect(names.length).toBeGreaterThan(1);
        await island.upload(
          volumes,
          "disc",
          (path) => path.endsWith(".tar") && path.startsWith(names[0] ?? ""),
        );
        await call();
        expect(told("bundle-waiting")).toHaveLength(1);
        for (const name of names) {
          expect(await island.mark()).toBeUndefined();
          expect(await island.tree()).toEqual({});
          await island.upload(volumes, "disc", (path) => path.startsWith(`${name}/`));
          await call();
        }
        expect(told("bundle-waiting")).toHaveLength(names.length);
        expect(await island.mark()).toBe(outside.snapshots.at(-1));
        const byHand = join(await outside.world.folder(), "island");
        expectSuccess(await outside.import(byHand, volumes), "import");
        expect(await island.tree()).toEqual(await filesOf(join(byHand, "tree")));

        const other = await islandOf();
        const again = await other.start();
        for (const [at, bundle] of outside.bundles.entries()) {
          await other.island.upload(bundle, `disc-${at}`);
          await again();
          expect(await other.island.mark()).toBe(outside.snapshots[at]);
          expect(await other.island.tree(), `the tree after ${bundle}`).toEqual(outside.trees[at]);
          const copy = join(await outside.world.folder(), "tree");
          await other.island.copyTree(copy);
          const client = await outside.world.client(`file://${copy}`);
          await allSucceed(client, await client.copyProject("modern"), ["build ./...", "mod download all"]);
        }
        // What is signed says the same as `modferry receipt` does.
        const note = await other.island.read("inbox/disc-3/receipt.note");
        const file = join(await outside.world.folder(), "receipt");
        await writeFile(file, note ?? "");
        const signer = await kmsSigner("island.example", kmsKey(settings, signerKey));
        const read = await modferry(["receipt", file, "--trust", signer.verifierKey]);
        expectSuccess(read, "receipt");
        expect(read.stdout.trim()).toBe(outside.snapshots[3]);
        expect(await other.island.json("inbox/disc-3/receipt.json")).toMatchObject({
          snapshot: outside.snapshots[3],
        });
        // What is done with is not looked at again.
        const [imported, made] = [other.told("bundle-imported").length, calls.made];
        await again();
        expect(other.told("bundle-imported")).toHaveLength(imported);
        expect(calls.made - made).toBeLessThan(40);
      },
      TIMEOUT,
    );

    test(
      "all bundles at once, in any order, are imported one after the other by one call",
      async () => {
        const { island, start } = await islandOf();
        for (const at of [2, 0, 3, 1]) await island.upload(outside.bundles[at] ?? "", `disc-${9 - at}`);
        await (await start())();
        expect(await island.mark()).toBe(outside.snapshots[3]);
        expect(await island.tree()).toEqual(outside.trees[3]);
      },
      TIMEOUT,
    );

    test(
      "a skipped increment is refused with what is missing, the mirror as it was; a bundle of that heals it",
      async () => {
        const { island, start, told } = await islandOf();
        const call = await start();
        await island.upload(outside.bundles[0] ?? "", "disc-0");
        await call();
        const before = await island.state();
        await island.upload(outside.bundles[3] ?? "", "disc-3");
        await call();
        expect(await island.state()).toBe(before);
        expect(told("bundle-refused")).toHaveLength(1);
        expect(await island.json("inbox/disc-3/refused.json")).toMatchObject({ outcome: "gap" });
        await call();
        expect(told("bundle-refused")).toHaveLength(1);
        const folder = await outside.world.folder();
        const needs = join(folder, "needs.json");
        await writeFile(needs, (await island.read("inbox/disc-3/needs.json")) ?? "");
        await island.upload(await outside.export("--needs", needs, "--to", folder), "disc-needs");
        await call();
        expect(await island.mark()).toBe(outside.snapshots[3]);
        // What was blocked before it ever came has no list (docs/bundles.md, What it does not do).
        const { "example.com/extra/@v/list": _empty, ...expected } = outside.trees[3] ?? {};
        expect(await island.tree()).toEqual(expected);
        expect((await island.keys("inbox/disc-3/")).sort()).toEqual(
          [
            "README.txt",
            "bundle.json",
            "bundle.json.note",
            "pack-0001.tar",
            "receipt.json",
            "receipt.note",
          ].map((name) => `inbox/disc-3/${name}`),
        );
      },
      TIMEOUT,
    );

    test(
      "a flipped bit, an extra file and a wrong signer are each refused with one line, and hold up no other bundle",
      async () => {
        const { island, start, told } = await islandOf();
        const call = await start();
        await island.upload(outside.bundles[0] ?? "", "good");
        await call();
        const before = await island.state();
        const pack = await readFile(join(outside.bundles[1] ?? "", "pack-0001.tar"));
        const flipped = Buffer.from(pack);
        const at = Math.floor(flipped.length * 0.7);
        flipped[at] = (flipped[at] as number) ^ 4;
        await island.upload(outside.bundles[1] ?? "", "flipped", (path) => !path.endsWith(".tar"));
        await island.put("inbox/flipped/pack-0001.tar", flipped);
        await call();
        expect(await island.state()).toBe(before);
        expect(await island.json("inbox/flipped/refused.json")).toMatchObject({
          outcome: "refused",
          class: "mismatch",
        });
        await island.remove("inbox/flipped/");
        await island.upload(outside.bundles[1] ?? "", "extra");
        await island.put("inbox/extra/more.txt", Buffer.from("what is this?"));
        await call();
        expect(await island.state()).toBe(before);
        expect(await island.json("inbox/extra/refused.json")).toMatchObject({
          message: expect.stringContaining("inbox/extra/more.txt is no part of the bundle"),
        });
        const key = join(await outside.world.folder(), "key");
        expectSuccess(await modferry(["keygen", "stranger.example", "--to", key]), "keygen");
        const to = await outside.world.folder();
        const made = await modferry([
          "export",
          "--full",
          "--mirror",
          outside.outside,
          "--to",
          to,
          "--key",
          key,
        ]);
        expectSuccess(made, "export");
        await island.upload(made.stdout.trim(), "stranger");
        await call();
        expect(await island.state()).toBe(before);
        expect(told("bundle-refused")).toHaveLength(3);
        for (const line of told("bundle-refused"))
          expect(String((line.error as { message: string }).message)).toMatch(/^[^\n]{1,600}$/);
        // Mended, and the stranger's still there.
        await island.remove("inbox/extra/more.txt");
        await call();
        expect(await island.mark()).toBe(outside.snapshots[1]);
        expect(await island.tree()).toEqual(outside.trees[1]);
        expect(told("bundle-refused").length).toBeLessThanOrEqual(4);
      },
      TIMEOUT,
    );

    test(
      "a pack that is exchanged between checking and publishing is refused, and the mark stays",
      async () => {
        const { island, start } = await islandOf();
        const call = await start();
        // What is done to the bucket meanwhile is no call of the function's.
        const asSomebodyElse = AsyncLocalStorage.snapshot();
        await island.upload(outside.bundles[0] ?? "", "disc");
        const { S3Stage } = await import("../../adapters/aws/bundle-stage.ts");
        const { proven } = S3Stage.prototype;
        const exchanged = vi.spyOn(S3Stage.prototype, "proven").mockImplementation(async function (
          this: InstanceType<typeof S3Stage>,
        ) {
          await proven.call(this);
          const pack = (await island.read("inbox/disc/pack-0001.tar")) ?? Buffer.alloc(0);
          pack[pack.length - 3_000] = (pack[pack.length - 3_000] as number) ^ 1;
          await asSomebodyElse(() => island.put("inbox/disc/pack-0001.tar", pack));
        });
        await call();
        exchanged.mockRestore();
        expect(await island.mark()).toBeUndefined();
        expect(Object.keys(await island.tree()).filter((key) => key.endsWith("/list"))).toEqual([]);
        expect(await island.json("inbox/disc/refused.json")).toMatchObject({ class: "mismatch" });
        await island.upload(outside.bundles[0] ?? "", "disc");
        await call();
        expect(await island.mark()).toBe(outside.snapshots[0]);
        expect(await island.tree()).toEqual(outside.trees[0]);
      },
      TIMEOUT,
    );

    test(
      "a call whose time is up goes on in the next one, in a process that knows nothing of it; what is checked and published is not done again",
      async () => {
        const { island, start, told } = await islandOf();
        for (const [at, bundle] of outside.bundles.entries()) await island.upload(bundle, `disc-${at}`);
        let bodies: readonly string[] = ["{}"];
        let rounds = 0;
        for (; bodies.length > 0 && rounds < 200; rounds++) {
          const call = await start();
          // Ever longer, so that it is up at other places, and at last far enough for a group of versions.
          await call(hurried(150 + rounds * 100), bodies);
          bodies = await island.woken();
        }
        expect(rounds).toBeGreaterThan(4);
        expect(told("bundle-continued")).toHaveLength(rounds - 1);
        expect(await island.mark()).toBe(outside.snapshots[3]);
        expect(await island.tree()).toEqual(outside.trees[3]);
      },
      TIMEOUT,
    );

    test(
      "a call that is killed after any of its requests is gone on with; at no moment does a list name what is not there",
      async () => {
        const { island, start } = await islandOf();
        for (const [at, bundle] of outside.bundles.slice(0, 2).entries())
          await island.upload(bundle, `disc-${at}`);
        let deaths = 0;
        for (let lives = 40; deaths < 60; lives = Math.floor(lives * 1.35)) {
          const call = await start();
          calls.left = lives;
          const end = await call().then(
            () => "done",
            () => "dead",
          );
          calls.left = Number.POSITIVE_INFINITY;
          ahead += LEASE_OVER;
          await whole(island);
          if (end === "done" && (await island.mark()) === outside.snapshots[1]) break;
          deaths++;
        }
        expect(deaths).toBeGreaterThan(3);
        expect(await island.tree()).toEqual(outside.trees[1]);
      },
      TIMEOUT,
    );

    test(
      "while another import is at work the inbox is looked through a minute later, once",
      async () => {
        const { island, start, actions } = await islandOf();
        await island.upload(outside.bundles[0] ?? "", "disc");
        const { ledger } = island.stores.ledger;
        expect(await ledger.takeLease("by-hand", "somebody", Date.now(), Date.now() + 60_000)).toBe(true);
        const call = await start();
        await call();
        await call();
        expect(actions().filter((action) => action === "bundle-busy")).toHaveLength(2);
        expect(await island.mark()).toBeUndefined();
        await ledger.releaseLease("by-hand", "somebody");
        await call();
        expect(await island.mark()).toBe(outside.snapshots[0]);
      },
      TIMEOUT,
    );

    test(
      "what an earlier bundle has blocked, a pattern, is there again when the next one blocks it no more",
      async () => {
        const { island, start } = await islandOf();
        const call = await start();
        await island.upload(outside.bundles[0] ?? "", "disc-0");
        await call();
        const { tree, vault, ledger, queue } = island.stores;
        const stores = { tree: tree.tree, vault: vault.vault, ledger: ledger.ledger, queue: queue.queue };
        const parts = { ...stores, zips: zipChecker, now: Date.now, report: () => undefined };
        await block(parts, "example.com/lib", "it was bad", "somebody (by bundle)");
        // Our own stays, and is applied again to what has come.
        await block(parts, "example.com/none", "it is bad", "somebody");
        expect(Object.keys(await island.tree())).not.toContain("example.com/lib/@v/v1.0.0.zip");
        await island.upload(outside.bundles[1] ?? "", "disc-1");
        await call();
        expect(await island.tree()).toEqual(outside.trees[1]);
      },
      TIMEOUT,
    );

    test("the role may do all that was done here, and nothing else", () => {
      const bundles = { inbox: true, trust: [{ key: outside.vkey }] };
      const granted = grantedRights(outside.world.upstream.vkey, { bundles }).get("Import") ?? [];
      const needed = recorded.of("Import");
      const denied = needed.filter((one) => !granted.some((right) => covers(right, one)));
      // Counters are of islands with feeds of their own, whose records a block may take out.
      const unused = granted.filter(
        (right) => right.action !== "dynamodb:UpdateItem" && !needed.some((one) => covers(right, one)),
      );
      expect({ denied, unused }).toEqual({ denied: [], unused: [] });
    });
  });
});

/** Each listed version has all its files. */
async function whole(island: BundleIsland): Promise<void> {
  const tree = await island.tree();
  for (const key of Object.keys(tree).filter((name) => name.endsWith("/@v/list"))) {
    const { tree: stored } = island.stores.tree;
    const list = await stored.get(key as Parameters<typeof stored.get>[0], 1_000_000);
    const versions = Buffer.from(list?.bytes ?? "")
      .toString()
      .split("\n")
      .filter((line) => line !== "");
    for (const version of versions)
      for (const kind of ["info", "mod", "zip"])
        expect(Object.keys(tree)).toContain(key.replace(/list$/, `${version}.${kind}`));
  }
}
