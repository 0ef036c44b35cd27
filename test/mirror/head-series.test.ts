import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { lookupKey, tileKey, treeHeadKey } from "../../mirror/tree-keys.ts";
import type { ProvenRecord } from "../../sumdb/client.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import type { SumdbSource } from "../../sumdb/source.ts";
import { openTreeHead, type SignedHead } from "../../sumdb/tree-head.ts";
import { processOf, TestClock } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { newKeys, PrivateDatabase } from "./private-database.ts";
import { WatchingReader } from "./watching-reader.ts";

function world(
  tree: (upstream: MadeUpstream) => MemoryTree = () => new MemoryTree(),
  ledger: MemoryLedger = new MemoryLedger(),
) {
  const upstream = new MadeUpstream();
  const stores = {
    tree: tree(upstream),
    ledger,
    vault: new MemoryVault(),
    queue: new MemoryQueue(),
  };
  const clock = new TestClock();
  const worker = (owner: string, source?: SumdbSource) => {
    const sumdb = source === undefined ? upstream.sumdb() : source;
    const ports = { ...stores, upstream: Object.assign(Object.create(upstream), { sumdb: () => sumdb }) };
    return processOf(ports, upstream, clock, { owner }).database;
  };
  return { upstream, stores, clock, worker };
}

const NAME = "sum.example.org";
const versionOf = (at: number) => moduleVersion(`example.com/m${at}`, "v1.0.0");

/** Modules m0 to m<count - 1>, each `apart` records from the last. */
function addModules(upstream: MadeUpstream, count: number, apart: number): void {
  for (let at = 0; at < count; at++) {
    upstream.add(`example.com/m${at}@v1.0.0`);
    upstream.database.grow(apart);
  }
}

test("two workers that move to different heads at once leave a tree that every client verifies", async () => {
  const { upstream, stores, worker } = world((made) => new WatchingReader(made));
  upstream.database.grow(200);
  const [one, two] = [worker("one"), worker("two")];
  // Heads from below a full tile to beyond several; what is proven first is published first, last, or at once.
  for (let round = 0; round < 9; round++) {
    const proven: ProvenRecord[] = [];
    for (const [at, database] of [one, two].entries()) {
      // The second one's record lies tiles beyond the first one's head, so that its proof brings nothing of the way there.
      upstream.database.grow(1 + 300 * at);
      upstream.add(`example.com/m${2 * round + at}@v1.0.0`);
      proven.push(await database.prove(versionOf(2 * round + at)));
    }
    const publish = async (at: number) => {
      const record = proven[at];
      if (record !== undefined) await [one, two][at]?.publish(versionOf(2 * round + at), record);
    };
    if (round % 3 === 0) await Promise.all([publish(1), publish(0), two.advance()]);
    else for (const at of round % 3 === 1 ? [1, 0] : [0, 1]) await publish(at);
  }
  const reader = stores.tree as WatchingReader;
  await reader.lookAtAll();
  expect(reader.broken).toEqual([]);
  const heads: number[] = [];
  for await (const { size } of stores.ledger.heads(NAME)) heads.push(size);
  expect(heads.length).toBeGreaterThanOrEqual(18);
});

test("a worker whose lease runs out while it bridges is bridged to whoever came between", async () => {
  const { upstream, stores, clock, worker } = world();
  addModules(upstream, 3, 300);
  const source = upstream.database.source();
  let overtaken = false;
  const between = worker("between");
  // It starts before anything is published, so that its way from the first head is still to be got when it adds its own.
  const slow = worker("slow", {
    ...source,
    tile: async (tile) => {
      if (bridging && !overtaken) {
        overtaken = true;
        clock.ms += 120_000;
        upstream.database.lookupHead = 500;
        await between.publish(versionOf(1), await between.prove(versionOf(1)));
      }
      return await source.tile(tile);
    },
  });
  let bridging = false;
  const proven = await slow.prove(versionOf(2));
  upstream.database.lookupHead = 100;
  const first = worker("first");
  await first.publish(versionOf(0), await first.prove(versionOf(0)));
  bridging = true;
  await slow.publish(versionOf(2), proven);
  expect(overtaken).toBe(true);

  const heads: Uint8Array[] = [];
  for await (const { note } of stores.ledger.heads(NAME)) heads.push(note);
  expect(heads).toHaveLength(3);
  for (const latest of [undefined, ...heads])
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const client = offline(stores.tree, upstream, latest);
      for (const at of order) await client.lookup(versionOf(at));
    }
});

test("a database that signs two trees of one size is not published twice", async () => {
  const keys = newKeys(NAME);
  const honest = new PrivateDatabase(NAME, keys);
  const forked = new PrivateDatabase(NAME, keys);
  for (const [at, database] of [honest, forked].entries()) {
    database.grow(100);
    database.add("example.com/m0@v1.0.0", lines("example.com/m0", 0));
    database.add("example.com/m1@v1.0.0", lines("example.com/m1", 0));
    database.add("example.com/hidden@v1.0.0", lines("example.com/hidden", at));
  }
  const { stores, clock } = world();
  const upstream = Object.assign(new MadeUpstream(), { database: honest });
  const process = (database: PrivateDatabase, owner: string) => {
    const ports = {
      ...stores,
      upstream: Object.assign(Object.create(upstream), { sumdb: () => database.source() }),
    };
    return processOf(ports, upstream, clock, { owner }).database;
  };
  const [one, two] = [process(honest, "one"), process(forked, "two")];
  // Both start before anything is published.
  const [good, bad] = await Promise.all([one.prove(versionOf(0)), two.prove(versionOf(1))]);
  await one.publish(versionOf(0), good);
  await expect(two.publish(versionOf(1), bad)).rejects.toMatchObject({ class: "stopped" });
  const head = await stores.tree.get(treeHeadKey(NAME), 1e6);
  expect(head && openTreeHead(head.bytes, honest.verifier).hash).toEqual(
    openTreeHead(honest.head(), honest.verifier).hash,
  );
  await expect(process(forked, "three").advance()).rejects.toMatchObject({ class: "stopped" });
});

function lines(path: string, at: number): string {
  const hash = `h1:${Buffer.alloc(32, at).toString("base64")}`;
  return `${path} v1.0.0 ${hash}\n${path} v1.0.0/go.mod ${hash}\n`;
}

function offline(tree: MemoryTree, upstream: MadeUpstream, latest: Uint8Array | undefined): OfflineClient {
  const read = {
    read: async (tile: Parameters<typeof tileKey>[1]) => (await tree.get(tileKey(NAME, tile), 1e6))?.bytes,
    lookup: async (version: Parameters<typeof lookupKey>[1]) =>
      (await tree.get(lookupKey(NAME, version), 1e6))?.bytes,
  };
  const { verifier } = upstream.database;
  return new OfflineClient({ verifier, tree: read, ...(latest === undefined ? {} : { latest }) });
}

/** Adds heads slowly, and counts how many at once, and how often the lease was asked for in vain. */
class WatchedLedger extends MemoryLedger {
  refused = 0;
  adding = 0;
  mostAdding = 0;

  override async takeLease(name: string, owner: string, now: number, until: number): Promise<boolean> {
    const taken = await super.takeLease(name, owner, now, until);
    if (!taken) this.refused++;
    return taken;
  }

  override async addHead(database: string, head: SignedHead): Promise<void> {
    this.mostAdding = Math.max(this.mostAdding, ++this.adding);
    await sleep(100);
    await super.addHead(database, head);
    this.adding--;
  }
}

test("of two databases in one process, too, only one adds a head at a time", async () => {
  const ledger = new WatchedLedger();
  const { upstream, worker } = world(undefined, ledger);
  addModules(upstream, 2, 300);
  const both = [worker("one process"), worker("one process")] as const;
  const proven: ProvenRecord[] = [];
  for (const [at, database] of both.entries()) {
    upstream.database.lookupHead = 301 + at * 200;
    proven.push(await database.prove(versionOf(at)));
  }
  await Promise.all(both.map((database, at) => database.publish(versionOf(at), proven[at] as ProvenRecord)));
  expect(ledger.mostAdding).toBe(1);
});

test("a database that lets clients ask while it adds a head waits for its own turn, not for its own lease", async () => {
  const ledger = new WatchedLedger();
  const { upstream, worker } = world(undefined, ledger);
  addModules(upstream, 2, 300);
  const database = worker("one");
  upstream.database.lookupHead = 300;
  const overtaken = await database.prove(versionOf(0));
  upstream.database.lookupHead = 500;
  await database.publish(versionOf(1), await database.prove(versionOf(1)));
  const publishing = database.publish(versionOf(0), overtaken);
  while (ledger.adding === 0) await sleep(1);
  expect(await database.complete()).toBe(true);
  await publishing;
  expect(ledger.refused).toBe(0);
});
