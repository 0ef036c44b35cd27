import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type SignedHead, SumdbClient, type SumdbSource } from "../../sumdb/client.ts";
import { parseVerifierKey, type Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import { tilePath } from "../../sumdb/tile.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, type GoClientRun, Oracle, PrivateDatabase } from "./oracle.ts";
import { grown, modVersion, PublishedTree, shuffled } from "./published-tree.ts";

const name = "example.com/sumdb";

describeWithOracle("a tree of lookups and tiles, read by x/mod's own client without a network", () => {
  let oracle: Oracle;
  let keys: { signer: string; verifier: string };
  let verifier: Verifier;
  let databases = 0;
  let database: PrivateDatabase;
  let tree: PublishedTree;

  beforeAll(async () => {
    oracle = new Oracle();
    keys = await oracle.ask("generateKey", { text: name });
    verifier = parseVerifierKey(keys.verifier);
  });
  afterAll(() => oracle.stop());
  beforeEach(async () => {
    database = await PrivateDatabase.create(oracle, `client${databases++}`, keys.signer);
    tree = new PublishedTree();
  });

  const newClient = (head?: SignedHead, source: SumdbSource = database) =>
    new SumdbClient({ name, verifier, source, store: tree, ...(head === undefined ? {} : { head }) });

  /** One run of a mirror: moves to the newest head and publishes these records. */
  async function run(head: SignedHead | undefined, ids: readonly number[]): Promise<SignedHead> {
    const client = newClient(head);
    const advanced = await client.advance();
    tree.store(advanced.tiles);
    client.stored(advanced.tiles.map(({ tile }) => tile));
    const versions = ids.map(grown);
    const records = await Promise.all(versions.map((version) => client.prove(version)));
    for (const [i, record] of records.entries()) {
      expect(record.id).toBe(ids[i]);
      tree.publish(versions[i] ?? expect.fail(), record, client);
    }
    return advanced.head;
  }

  /** Every lookup, by x/mod's client and by ours, fresh and with each head, in several orders. */
  async function verifyEverywhere(heads: readonly SignedHead[], orders = 3): Promise<void> {
    await oracle.ask("tree", { path: "published", files: tree.encoded() });
    const all = tree.lookups();
    for (const latest of [undefined, ...heads]) {
      for (let order = 0; order < orders; order++) {
        const versions = order === 0 ? all : order === 1 ? all.toReversed() : shuffled(all, 17 + order);
        const run = await oracle.ask<GoClientRun>("client", {
          text: keys.verifier,
          tree: "published",
          versions,
          ...(latest && { latest: base64(latest.note) }),
        });
        expect(run.security).toBe("");
        const offline = new OfflineClient({ verifier, tree, ...(latest && { latest: latest.note }) });
        for (const [i, version] of versions.entries()) {
          const { error, lines } = run.results[i] ?? expect.fail();
          expect(error, `${version} with ${latest?.size}, order ${order}`).toBeUndefined();
          expect(lines).toHaveLength(2);
          const [path = "", number = ""] = version.split("@");
          const record = await offline.lookup(modVersion(path, number));
          expect(record.text).toBe(`${lines.join("\n")}\n`);
        }
        expect(base64(offline.head?.note ?? "")).toBe(run.latest);
      }
    }
  }

  const small = [1, 2, 3, 200, 255, 256, 257, 300, 511, 512, 513, 1000, 1023, 1024];
  const threeLevels = [255, 65530, 65536, 65537, 65792, 66000, 131071, 131072, 131073];

  // Where records at the edges are published too, much of what a head needs is there for their sake; so also without.
  test.each([
    ["small trees, edges published", small, true],
    ["small trees", small, false],
    ["three levels, with edges empty on some of them, edges published", threeLevels, true],
    ["three levels, with edges empty on some of them", threeLevels, false],
    ["long steps", [3, 70000, 140001], false],
  ])(
    "every lookup verifies for a fresh client and for one with any published head: %s",
    async (_, sizes, edges) => {
      const heads: SignedHead[] = [];
      for (const [i, size] of sizes.entries()) {
        await database.grow(size);
        const old = sizes[i - 1] ?? 0;
        // One that no earlier run has published, far from both edges.
        const inside = [Math.floor((size * (i + 1)) / (sizes.length + 2))];
        const ids = new Set(edges ? [...inside, size - 1, old, Math.max(0, old - 1)] : inside);
        heads.push(
          await run(
            heads.at(-1),
            [...ids].filter((id) => id < size),
          ),
        );
      }
      await verifyEverywhere(heads, 2);
    },
  );

  test("the edge and chain of an advance are at most 8 tiles, and a record in a full tile needs one more", async () => {
    await database.grow(65900);
    const head = await run(undefined, []);
    const before = new Set(tree.tiles());
    await database.grow(66900);
    const client = newClient(head);
    const { tiles } = await client.advance();
    expect(tiles.length).toBeLessThanOrEqual(8);
    expect(tiles.every(({ tile }) => !before.has(`/${tilePath(tile)}`))).toBe(true);
    tree.store(tiles);
    client.stored(tiles.map(({ tile }) => tile));
    const record = await client.prove(grown(1000));
    expect(record.tiles.map(({ tile }) => tilePath(tile)).sort()).toEqual(["tile/8/0/003", "tile/8/1/000"]);
    client.stored(record.tiles.map(({ tile }) => tile));
    expect((await client.prove(grown(1001))).tiles).toEqual([]);
  });

  test("it asks for no more tiles than the go client, and for none twice, with 64 proofs at once", async () => {
    await database.grow(70000);
    const ids = shuffled(
      Array.from({ length: 64 }, (_, i) => i * 1093),
      5,
    );
    const head = await run(undefined, ids.slice(0, 32));
    await database.grow(71000);
    await run(head, ids);
    const asked = database.tilesAsked();
    const versions = ids.map((id) => `example.com/m${id}@v1.0.0`);
    const first = await oracle.ask<GoClientRun>("client", { text: keys.verifier, db: database.id, versions });
    expect(first.tiles?.length).toBeGreaterThan(60);
    // The first run's head had tiles of its own; the second asks only for what the tree lacks.
    const extra = 3 + 3;
    expect(asked.length).toBeLessThanOrEqual((first.tiles?.length ?? 0) + extra);
    expect(new Set(asked).size).toBe(asked.length);

    const fresh = await PrivateDatabase.create(oracle, "count", keys.signer);
    await fresh.grow(70000);
    tree = new PublishedTree();
    const client = newClient(undefined, fresh);
    await client.advance();
    await Promise.all(ids.map((id) => client.prove(grown(id))));
    const theirs = await oracle.ask<GoClientRun>("client", { text: keys.verifier, db: "count", versions });
    expect(fresh.tilesAsked().sort()).toEqual([...(theirs.tiles ?? [])].sort());
  });

  test("records beyond our head move it on, as few times as will do, and all of them verify", async () => {
    await database.grow(250);
    const client = newClient();
    const { head } = await client.advance();
    const versions = Array.from({ length: 64 }, (_, i) => modVersion(`example.com/new${i}`));
    const records = await Promise.all(versions.map((version) => client.prove(version)));
    expect(client.head?.size).toBe(314);
    const heads = new Map([head, ...records.map((record) => record.head)].map((each) => [each.size, each]));
    expect(heads.size).toBeLessThanOrEqual(12);
    for (const i of shuffled([...records.keys()], 3)) {
      tree.publish(versions[i] ?? expect.fail(), records[i] ?? expect.fail(), client);
    }
    await verifyEverywhere([...heads.values()].slice(1));
    const theirs = await oracle.ask<GoClientRun>("client", {
      text: keys.verifier,
      db: database.id,
      versions: versions.map(({ path, version }) => `${path}@${version}`),
    });
    expect(theirs.results.every(({ error }) => error === undefined)).toBe(true);
  });

  test("a result names all that its lookup needs until it was stored, so any of them may be published first", async () => {
    await database.grow(600);
    const head = await run(undefined, [0, 599]);
    await database.grow(900);
    const client = newClient(head);
    await client.advance(); // Its tiles are lost: we died before they were stored.
    const [one, two] = [await client.prove(grown(700)), await client.prove(grown(20))];
    const before = tree;
    for (const record of [one, two]) {
      tree = before.copy();
      tree.publish(grown(record.id), record);
      await verifyEverywhere([head, record.head], 2);
    }
    client.stored([...one.tiles, ...two.tiles].map(({ tile }) => tile));
    expect((await client.prove(grown(701))).tiles).toEqual([]);
    expect((await client.advance()).tiles).toEqual([]);
  });

  test("a partial tile that the source has no more is cut from the full one", async () => {
    await database.grow(300);
    const old = await database.latest();
    await database.grow(1000);
    database.planted.set("/latest", old);
    database.planted.set("/tile/8/0/001.p/44", undefined);
    const client = newClient();
    const { head, tiles } = await client.advance();
    expect(head.size).toBe(300);
    tree.store(tiles);
    tree.publish(grown(299), await client.prove(grown(299)), client);
    expect(tree.tiles()).toContain("/tile/8/0/001.p/44");
    expect(database.asked.filter((path) => path === "/tile/8/0/001")).toHaveLength(1);
    await verifyEverywhere([head]);
  });

  test("a head that has come back from an older mirror of the source is checked and not taken", async () => {
    await database.grow(300);
    const old = await database.latest();
    await database.grow(1000);
    const client = newClient();
    const { head } = await client.advance();
    database.planted.set("/latest", old);
    expect((await client.advance()).head).toBe(head);
    expect(client.head).toBe(head);
  });

  test("a cache of two tiles gives the same proofs", async () => {
    await database.grow(5000);
    const client = new SumdbClient({ name, verifier, source: database, store: tree, cacheSize: 2 * 8192 });
    for (const id of [0, 4999, 300, 1, 2500, 4998, 301, 0]) {
      tree.publish(grown(id), await client.prove(grown(id)), client);
    }
    await verifyEverywhere([client.head ?? expect.fail()], 1);
  });

  test("what the source throws for a lookup passes through as it is", async () => {
    await database.grow(3);
    const absent = new Error("absent");
    const client = newClient(undefined, { ...bound(database), lookup: () => Promise.reject(absent) });
    await expect(client.prove(grown(1))).rejects.toBe(absent);
  });

  test("a tile that is missing in the tree is named", async () => {
    await database.grow(300);
    const head = await run(undefined, [5]);
    tree.files.delete("/tile/8/0/000");
    const offline = new OfflineClient({ verifier, tree, latest: head.note });
    await expect(offline.lookup(grown(5))).rejects.toThrow("tile/8/0/000 is missing");
  });
});

function bound(database: PrivateDatabase): SumdbSource {
  return { latest: database.latest, lookup: database.lookup, tile: database.tile };
}
