import { afterAll, beforeAll, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { SumdbClient, type SumdbSource } from "../../sumdb/client.ts";
import { formatLookup, parseLookup, recordHashes } from "../../sumdb/lookup.ts";
import { parseSignerKey, parseVerifierKey, type Signer, signNote, type Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import { checkTree } from "../../sumdb/proof.ts";
import { ForkError, ProofError } from "../../sumdb/proof-error.ts";
import { parseTilePath, rootOfLeaves, type Tile, tilePath } from "../../sumdb/tile.ts";
import { TileCache } from "../../sumdb/tile-cache.ts";
import { TileHashReader } from "../../sumdb/tile-hash-reader.ts";
import { type Hash, recordHash, storedHashIndex } from "../../sumdb/tlog.ts";
import { openTreeHead, type SignedHead } from "../../sumdb/tree-head.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, type GoClientRun, Oracle, PrivateDatabase } from "./oracle.ts";
import { grown, lookupPath, modVersion, PublishedTree } from "./published-tree.ts";

const name = "example.com/sumdb";
const forgedHash = `h1:${Buffer.alloc(32, 7).toString("base64")}`;

function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Buffer.from(bytes);
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return flipped;
}

describeWithOracle("a hostile checksum database", () => {
  let oracle: Oracle;
  let keys: { signer: string; verifier: string };
  let signer: Signer;
  let verifier: Verifier;
  /** 1,000 records: tiles 0/000 to 0/002 full, 0/003.p/232, 1/000.p/3. */
  let database: PrivateDatabase;
  let head: SignedHead;
  const store = { read: async () => undefined };

  beforeAll(async () => {
    oracle = new Oracle();
    keys = await oracle.ask("generateKey", { text: name });
    signer = parseSignerKey(keys.signer);
    verifier = parseVerifierKey(keys.verifier);
    database = await PrivateDatabase.create(oracle, "honest", keys.signer);
    await database.grow(1000);
    head = openTreeHead(await database.latest(), verifier);
  });
  afterAll(() => oracle.stop());

  const honest = (): SumdbSource => ({
    latest: database.latest,
    lookup: database.lookup,
    tile: database.tile,
  });
  const clientOf = (source: Partial<SumdbSource>, start?: SignedHead) =>
    new SumdbClient({
      name,
      verifier,
      store,
      source: { ...honest(), ...source },
      ...(start && { head: start }),
    });

  /** What x/mod's client says of a lookup, with the honest database's tiles. */
  async function judgeLookup(path: string, lookup: Uint8Array): Promise<GoClientRun> {
    const files: Record<string, string> = { [path]: base64(lookup) };
    for (const tile of ["0/000", "0/001", "0/002", "0/003.p/232", "1/000.p/3"]) {
      files[`/tile/8/${tile}`] = base64(await database.tile(parseTilePath(`tile/8/${tile}`)));
    }
    return await oracle.ask("client", {
      text: keys.verifier,
      files,
      versions: [path.slice("/lookup/".length)],
    });
  }

  test("any one bit of a lookup's reply, flipped, makes it an error", async () => {
    const lookup = await database.lookup(grown(300));
    let reply = lookup;
    const client = clientOf({ lookup: async () => reply }, head);
    expect((await client.prove(grown(300))).id).toBe(300);
    for (let bit = 0; bit < 8 * lookup.length; bit++) {
      reply = flipBit(lookup, bit);
      const failure = await client.prove(grown(300)).catch((error: unknown) => error);
      expect(failure instanceof FormatError || failure instanceof ProofError, `bit ${bit}: ${failure}`).toBe(
        true,
      );
    }
  });

  test("any tile with a bit flipped, cut, lengthened or replaced by a page is an error, and heals", async () => {
    const wanted = new Set<string>();
    const record = clientOf({
      tile: (tile) => {
        wanted.add(tilePath(tile));
        return database.tile(tile);
      },
    });
    await record.advance();
    await record.prove(grown(300));
    expect([...wanted].sort()).toEqual(["tile/8/0/001", "tile/8/0/003.p/232", "tile/8/1/000.p/3"]);
    const faults: [string, (bytes: Uint8Array) => Uint8Array][] = [
      ["cut", (bytes) => bytes.subarray(0, -32)],
      ["lengthened", (bytes) => Buffer.concat([bytes, Buffer.alloc(32)])],
      ["empty", () => new Uint8Array()],
      ["a page", () => Buffer.from("<!doctype html>")],
    ];
    for (const leaf of [0, 1, 44, 100, 231, 255]) {
      for (const bit of [0, 7, 128, 255])
        faults.push([`leaf ${leaf}, bit ${bit}`, (b) => flipBit(b, leaf * 256 + bit)]);
    }
    for (const path of wanted) {
      for (const [what, spoil] of faults) {
        const good = await database.tile(parseTilePath(path));
        const bad = Buffer.from(spoil(Buffer.from(good)));
        if (bad.length > good.length && what.startsWith("leaf")) continue;
        if (what.startsWith("leaf") && bad.equals(good)) continue;
        let spoilt = true;
        const client = clientOf({
          tile: async (tile) => (spoilt && tilePath(tile) === path ? bad : await database.tile(tile)),
        });
        const attempt = async () => {
          await client.advance();
          return await client.prove(grown(300));
        };
        const failure = await attempt().catch((error: unknown) => error);
        const typed = failure instanceof ProofError || failure instanceof FormatError;
        expect(typed, `${path}, ${what}: ${failure}`).toBe(true);
        spoilt = false;
        expect((await attempt()).id).toBe(300);
      }
    }
  });

  test("a record that is another record's, or beyond its own head, is refused", async () => {
    const swapped = parseLookup(await database.lookup(grown(300)));
    const reply = formatLookup(301, swapped.text, swapped.treeNote);
    await expect(clientOf({ lookup: async () => reply }).prove(grown(300))).rejects.toThrow("not record 301");
    await expect(
      clientOf({})
        .prove({ ...grown(300), path: grown(301).path })
        .then((r) => r.id),
    ).resolves.toBe(301);
    await expect(clientOf({ lookup: () => database.lookup(grown(301)) }).prove(grown(300))).rejects.toThrow(
      ProofError,
    );
    const beyond = formatLookup(1000, swapped.text, swapped.treeNote);
    await expect(clientOf({ lookup: async () => beyond }).prove(grown(300))).rejects.toThrow(
      "not in the tree of 1000",
    );
  });

  test("a head or lookup that another key has signed is refused", async () => {
    const other = await oracle.ask<{ signer: string }>("generateKey", { text: name });
    const text = `go.sum database tree\n1000\n${base64(head.hash)}\n`;
    const forged = signNote(text, [parseSignerKey(other.signer)]);
    await expect(clientOf({ latest: async () => forged }).advance()).rejects.toThrow("not signed by");
    const { id, text: record } = parseLookup(await database.lookup(grown(5)));
    const lookup = async () => formatLookup(id, record, forged);
    await expect(clientOf({ lookup }, head).prove(grown(5))).rejects.toThrow("not signed by");
  });

  test.each([
    ["larger", 1200],
    ["of the same size", 1000],
    ["smaller", 990],
  ])(
    "a fork with a head that is %s is told with both notes and a proof, and ours goes on",
    async (_, size) => {
      const fork = await PrivateDatabase.create(oracle, `fork${size}`, keys.signer);
      await fork.grow(980);
      await fork.grow(size, "other");
      let source: PrivateDatabase = database;
      const client = clientOf({
        latest: () => source.latest(),
        lookup: (version) => source.lookup(version),
        tile: (tile) => source.tile(tile),
      });
      await client.advance();
      await client.prove(grown(10));
      source = fork;
      const error = await client.advance().catch((thrown: unknown) => thrown);
      if (!(error instanceof ForkError)) throw error;
      const [older, newer] = [openTreeHead(error.older, verifier), openTreeHead(error.newer, verifier)];
      expect([older.size, newer.size]).toEqual([1000, size].sort((a, b) => a - b));
      checkTree(error.proof, newer, { size: older.size, hash: error.computed });
      expect(base64(error.computed)).not.toBe(base64(older.hash));
      source = database;
      expect(client.head?.size).toBe(1000);
      expect((await client.prove(grown(985))).head.size).toBe(1000);
      expect((await client.prove(grown(500))).id).toBe(500);

      // x/mod's client comes to the same verdict.
      const run = await oracle.ask<GoClientRun>("client", {
        text: keys.verifier,
        db: fork.id,
        latest: base64(head.note),
        versions: ["example.com/m985@v1.0.0"],
      });
      expect(run.results[0]?.error).toBeDefined();
    },
  );

  test("a lookup with a forked head of our own head's size is told as a fork", async () => {
    const fork = await PrivateDatabase.create(oracle, "forkedLookup", keys.signer);
    await fork.grow(980);
    await fork.grow(1000, "other");
    const client = clientOf({ lookup: fork.lookup }, head);
    await expect(client.prove(grown(5))).rejects.toThrow(ForkError);
  });

  test("a forked head that a lookup beyond our head brings moves nothing", async () => {
    const fork = await PrivateDatabase.create(oracle, "forkedBeyond", keys.signer);
    await fork.grow(980);
    await fork.grow(1100, "other");
    const client = clientOf({ lookup: fork.lookup, tile: fork.tile }, head);
    await expect(client.prove(grown(1050))).rejects.toThrow(ForkError);
    expect(client.head).toMatchObject({ size: 1000 });
    expect(base64(client.head?.hash ?? "")).toBe(base64(head.hash));
  });

  test("what our own tree holds is proven like all else", async () => {
    const tree = new PublishedTree();
    const client = new SumdbClient({ name, verifier, source: database, store: tree });
    await client.advance();
    tree.publish(grown(300), await client.prove(grown(300)));
    for (const path of tree.tiles()) {
      const spoilt = tree.copy();
      spoilt.files.set(path, flipBit(spoilt.files.get(path) ?? expect.fail(), 44 * 256));
      const { note } = head;
      const mirror = new SumdbClient({
        name,
        verifier,
        source: database,
        store: spoilt,
        head: { ...head, note },
      });
      const gone = path.endsWith("1/000.p/3");
      if (!gone) await expect(mirror.prove(grown(300)), path).rejects.toThrow(ProofError);
      if (!gone)
        await expect(new OfflineClient({ verifier, tree: spoilt }).lookup(grown(300))).rejects.toThrow(
          ProofError,
        );
    }
  });

  test("CVE-2026-56865: a full tile right after the edge's tiles is proven, too", async () => {
    // The edge of 1,000 records is six subtrees in two tiles. Here the record's own tile is the third to be read.
    const forged = recordHash(Buffer.from(forgedText(300)));
    const leaf = (300 - 256) * 32;
    const tile = async (asked: Tile) => {
      const bytes = Buffer.from(await database.tile(asked));
      if (tilePath(asked) === "tile/8/0/001") bytes.set(forged, leaf);
      return bytes;
    };
    // The faulty reader checks tiles from number 6 on, the number of subtrees, so it takes the forged leaf for proven.
    const order = ["tile/8/1/000.p/3", "tile/8/0/003.p/232", "tile/8/0/001"];
    const tiles = await Promise.all(order.map((path) => tile(parseTilePath(path))));
    expect(faultyUnproven(tiles, 6)).toEqual([]);
    expect(faultyUnproven(tiles, 2)).toEqual([2]);

    const reader = new TileHashReader(head, new TileCache(store, { tile }));
    await expect(reader.read([storedHashIndex(0, 300)])).rejects.toThrow("tile/8/0/001");
    const { treeNote } = parseLookup(await database.lookup(grown(300)));
    const lookup = async () => formatLookup(300, forgedText(300), treeNote);
    await expect(clientOf({ tile, lookup }).prove(grown(300))).rejects.toThrow(ProofError);
  });

  /** The check of the tiles after the edge as it was before the fix, which starts at tile `from`. */
  function faultyUnproven(tiles: readonly Hash[], from: number): number[] {
    const [top] = tiles;
    return tiles.flatMap((bytes, i) => {
      if (i < from) return [];
      return Buffer.compare(rootOfLeaves(bytes), top?.subarray(32, 64) ?? expect.fail()) === 0 ? [] : [i];
    });
  }

  const forgedText = (id: number) =>
    `example.com/m${id} v1.0.0 ${forgedHash}\nexample.com/m${id} v1.0.0/go.mod ${forgedHash}\n`;

  test("CVE-2026-56864: lines that stand outside the authenticated record are never taken", async () => {
    // Signed for real, by a database that lets others put lines into its notes: x/mod's TestRejectUnauthenticatedLines.
    const { id, text } = parseLookup(await database.lookup(grown(300)));
    const lines = `example.com/bad v1.0.0 ${forgedHash}\nexample.com/bad v1.0.0/go.mod ${forgedHash}\n`;
    const note = signNote(`go.sum database tree\n1000\n${base64(head.hash)}\n${lines}`, [signer]);
    const reply = formatLookup(id, text, note);
    const bad = modVersion("example.com/bad");
    const wholeReply = Buffer.from(reply).toString();
    // The faulty client looks for its lines in the whole reply.
    expect(wholeReply.split("\n").filter((line) => line.startsWith("example.com/bad v1.0.0 "))).toHaveLength(
      1,
    );
    expect((await judgeLookup(lookupPath(bad), reply)).results[0]).toEqual({ lines: [] });

    await expect(clientOf({ lookup: async () => reply }).prove(bad)).rejects.toThrow("not the two lines");
    expect((await clientOf({ lookup: async () => reply }).prove(grown(300))).zip).not.toBe(forgedHash);
    const tree = new PublishedTree();
    const client = clientOf({});
    await client.advance();
    tree.publish(bad, { ...(await client.prove(grown(300))), text, id });
    tree.files.set(lookupPath(bad), reply);
    await expect(new OfflineClient({ verifier, tree }).lookup(bad)).rejects.toThrow("not the two lines");
  });

  test("CVE-2026-42501: a proven record that lacks one of the two lines proves nothing", async () => {
    const mv = grown(300);
    const [zip = "", goMod = ""] = parseLookup(await database.lookup(mv)).text.split("\n");
    // The faulty client accepts unless a line contradicts.
    const contradicted = (text: string, line: string) =>
      text.split("\n").some((each) => each.startsWith(`${mv.path} ${mv.version} h1:`) && each !== line);
    expect(contradicted(`${goMod}\n`, `${mv.path} ${mv.version} ${forgedHash}`)).toBe(false);

    expect(recordHashes(`${zip}\n${goMod}\n`, mv).zip).toBe(zip.split(" ")[2]);
    expect(recordHashes(`${goMod}\n${zip}\n`, mv).goMod).toBe(goMod.split(" ")[2]);
    const other = `example.com/other v1.0.0 ${forgedHash}`;
    for (const lines of [
      [zip],
      [goMod],
      [zip, zip],
      [goMod, goMod],
      [other],
      [zip, other],
      [zip, goMod, other],
      [other, zip, goMod],
      [zip, goMod, zip],
    ]) {
      expect(() => recordHashes(`${lines.join("\n")}\n`, mv), lines.join("|")).toThrow(ProofError);
    }
    for (const [zipLine, modLine] of [
      [zip.replace("h1:", "h2:"), goMod],
      [zip, goMod.slice(0, -1)],
      [`${zip} `, goMod],
      [zip.replace(" v1", "  v1"), goMod],
      [zip.replace("v1.0.0", "v1.0.00"), goMod],
      [zip.replace("m300", "M300"), goMod],
    ]) {
      expect(() => recordHashes(`${zipLine}\n${modLine}\n`, mv)).toThrow(ProofError);
    }
    expect(() => recordHashes(`${zip}\n${goMod}`, mv)).toThrow(ProofError);
    expect(() => recordHashes(`${zip}\n${goMod}\n\n${other}\n`, mv)).toThrow(ProofError);
  });

  test("a lookup in a tree that is not the record it says is refused by the offline client as by x/mod's", async () => {
    const { text, treeNote } = parseLookup(await database.lookup(grown(300)));
    for (const reply of [formatLookup(301, text, treeNote), formatLookup(300, forgedText(300), treeNote)]) {
      const path = lookupPath(grown(300));
      expect((await judgeLookup(path, reply)).results[0]?.error).toContain("cannot authenticate record");
      const offline = new OfflineClient({
        verifier,
        tree: { read: database.tile, lookup: async () => reply },
      });
      await expect(offline.lookup(grown(300))).rejects.toThrow("is not record 30");
    }
  });

  test("a fork in a tree is refused by the offline client as by x/mod's", async () => {
    const fork = await PrivateDatabase.create(oracle, "forkedTree", keys.signer);
    await fork.grow(980);
    await fork.grow(1200, "other");
    const tree = new PublishedTree();
    const theirs = new SumdbClient({ name, verifier, source: fork, store: tree });
    tree.store((await theirs.advance()).tiles);
    tree.publish(grown(10), await theirs.prove(grown(10)));
    const offline = new OfflineClient({ verifier, tree, latest: head.note });
    await expect(offline.lookup(grown(10))).rejects.toThrow();
    await expect(new OfflineClient({ verifier, tree }).lookup(grown(10))).resolves.toMatchObject({ id: 10 });
    const run = await oracle.ask<GoClientRun>("client", {
      text: keys.verifier,
      files: tree.encoded(),
      latest: base64(head.note),
      versions: ["example.com/m10@v1.0.0"],
    });
    expect(run.results[0]?.error).toBeDefined();
  });
});
