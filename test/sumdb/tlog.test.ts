import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkRecord, checkTree, proveRecord, proveTree } from "../../sumdb/proof.ts";
import { ProofError } from "../../sumdb/proof-error.ts";
import {
  hashFromTile,
  newTiles,
  parseTilePath,
  rootOfLeaves,
  tileForIndex,
  tilePath,
} from "../../sumdb/tile.ts";
import {
  EMPTY_TREE_HASH,
  type Hash,
  MAX_TREE_SIZE,
  nodeHash,
  recordHash,
  splitStoredHashIndex,
  storedHashIndex,
  treeHash,
} from "../../sumdb/tlog.ts";
import { formatTree, parseTree } from "../../sumdb/tree-head.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, Oracle, PrivateDatabase, xModFolder } from "./oracle.ts";

const decode = (text: string): Hash => Buffer.from(text, "base64");

/** Numbers that differ in all their bits but are the same in every run. */
function* pseudoRandom(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 48271) % 2147483647;
    yield state / 2147483647;
  }
}

describe("the hashes of RFC 6962", () => {
  test("an empty tree, a record and a node are hashed with their own prefix", () => {
    // RFC 6962, 2.1, computed with sha256sum over the bytes.
    expect(base64(EMPTY_TREE_HASH)).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    // tlog's own golden: RecordHash("hello world").
    expect(base64(recordHash(Buffer.from("hello world")))).toBe(
      "TszzRgjTG6xce+z2AG31kAXYKBgQVtCSCE40HmuwBb0=",
    );
    expect(nodeHash(EMPTY_TREE_HASH, EMPTY_TREE_HASH)).not.toEqual(
      recordHash(Buffer.concat([EMPTY_TREE_HASH, EMPTY_TREE_HASH])),
    );
  });

  test("indexes beyond the safe integers are an error, never a rounded number", () => {
    expect(Number.isSafeInteger(storedHashIndex(0, MAX_TREE_SIZE))).toBe(true);
    expect(() => storedHashIndex(0, 2 ** 53)).toThrow(RangeError);
  });
});

describeWithOracle("trees, judged by golang.org/x/mod/sumdb/tlog", () => {
  const size = 3000;
  let oracle: Oracle;
  let stored: Hash[];
  const reader = async (indexes: readonly number[]) => {
    expect(indexes).toEqual([...indexes].sort((a, b) => a - b));
    return indexes.map((index) => stored[index] ?? expect.fail(`no hash ${index}`));
  };

  beforeAll(async () => {
    oracle = new Oracle();
    const { signer } = await oracle.ask<{ signer: string }>("generateKey", { text: "example.com/log" });
    const database = await PrivateDatabase.create(oracle, "log", signer);
    await database.grow(size);
    const indexes = Array.from({ length: storedHashIndex(0, size) }, (_, i) => i);
    stored = (await oracle.ask<string[]>("hashes", { db: "log", indexes })).map(decode);
  });
  afterAll(() => oracle.stop());

  test("stored hash indexes and their tiles are x/mod's, far beyond 32 bits too", async () => {
    const random = pseudoRandom(7);
    const indexes = Array.from({ length: 600 }, (_, i) => i);
    for (const exponent of [20, 31, 32, 33, 40, 48, 52, 53]) {
      for (let i = 0; i < 60; i++)
        indexes.push(Math.floor((random.next().value ?? 0) * (2 ** exponent - 200)));
      indexes.push(2 ** exponent - 100, 2 ** exponent - 127, 2 ** exponent - 128);
    }
    const theirs = await oracle.ask<{ level: number; n: number; index: number; tile: string }[]>("indexes", {
      indexes,
    });
    for (const [i, index] of indexes.entries()) {
      const { level, n } = splitStoredHashIndex(index);
      expect({ level, n, index: storedHashIndex(level, n), tile: tilePath(tileForIndex(index)) }).toEqual(
        theirs[i],
      );
    }
  });

  test("the tree hash of every size is x/mod's", async () => {
    const sizes = Array.from({ length: size }, (_, i) => i);
    const theirs = await oracle.ask<string[]>("treeHashes", { db: "log", sizes });
    for (const n of sizes) expect(base64(await treeHash(n, reader))).toBe(theirs[n]);
  });

  test("record proofs are x/mod's, hold, and with any one bit wrong do not", async () => {
    for (const [n, id] of [
      [1, 0],
      [2, 1],
      [7, 3],
      [256, 255],
      [257, 256],
      [1000, 0],
      [2999, 1234],
      [2999, 2998],
    ] as const) {
      const proof = await proveRecord(n, id, reader);
      expect(proof.map(base64)).toEqual(await oracle.ask("proveRecord", { db: "log", size: n, id }));
      const tree = { size: n, hash: await treeHash(n, reader) };
      const leaf = stored[storedHashIndex(0, id)] ?? expect.fail();
      checkRecord(proof, tree, id, leaf);
      for (const [i, hash] of proof.entries()) {
        expect(() => checkRecord(proof.with(i, flip(hash)), tree, id, leaf)).toThrow(ProofError);
      }
      expect(() => checkRecord([...proof, leaf], tree, id, leaf)).toThrow(ProofError);
      expect(() => checkRecord(proof, tree, id, flip(leaf))).toThrow(ProofError);
      expect(() => checkRecord(proof, tree, n, leaf)).toThrow(ProofError);
      if (proof.length > 0) expect(() => checkRecord(proof.slice(1), tree, id, leaf)).toThrow(ProofError);
    }
  });

  test("tree proofs are x/mod's, hold, and with any one bit wrong do not", async () => {
    for (const [n, old] of [
      [1, 1],
      [2, 1],
      [8, 7],
      [256, 255],
      [257, 256],
      [1000, 512],
      [2999, 1234],
      [2999, 2998],
    ] as const) {
      const proof = await proveTree(n, old, reader);
      expect(proof.map(base64)).toEqual(await oracle.ask("proveTree", { db: "log", size: n, oldSize: old }));
      const tree = { size: n, hash: await treeHash(n, reader) };
      const oldTree = { size: old, hash: await treeHash(old, reader) };
      checkTree(proof, tree, oldTree);
      for (const [i, hash] of proof.entries()) {
        expect(() => checkTree(proof.with(i, flip(hash)), tree, oldTree)).toThrow(ProofError);
      }
      expect(() => checkTree([...proof, tree.hash], tree, oldTree)).toThrow(ProofError);
      expect(() => checkTree(proof, tree, { ...oldTree, hash: flip(oldTree.hash) })).toThrow(ProofError);
      expect(() => checkTree(proof, oldTree, { ...tree, size: n + 1 })).toThrow(ProofError);
    }
  });

  test("what a growing tree has to publish is what x/mod says", async () => {
    const random = pseudoRandom(11);
    const pick = (limit: number) => Math.floor((random.next().value ?? 0) * limit);
    const pairs = [
      [0, 1],
      [0, 256],
      [255, 257],
      [256, 256],
      [65535, 65537],
      [49516517, 49516586],
      [2 ** 33, 2 ** 33 + 900],
    ];
    for (let i = 0; i < 60; i++) {
      const old = pick(2 ** (8 + (i % 32)));
      pairs.push([old, old + pick(2000)]);
    }
    for (const [oldSize = 0, newSize = 0] of pairs) {
      const theirs = await oracle.ask("newTiles", { oldSize, size: newSize });
      expect(newTiles(oldSize, newSize).map(tilePath), `${oldSize} to ${newSize}`).toEqual(theirs);
    }
  });

  test("the bytes of every tile are the server's, and every hash can be had from its tile", async () => {
    for (const tile of newTiles(0, size)) {
      const path = tilePath(tile);
      expect(parseTilePath(path)).toEqual(tile);
      const { body } = await oracle.ask<{ body: string }>("get", { db: "log", path: `/${path}` });
      const bytes = Buffer.from(body, "base64");
      const leaves = Array.from({ length: tile.width }, (_, i) =>
        storedHashIndex(8 * tile.level, tile.index * 256 + i),
      );
      expect(Buffer.concat(await reader(leaves)).equals(bytes)).toBe(true);
      if (tile.width === 256) {
        expect(rootOfLeaves(bytes)).toEqual(stored[storedHashIndex(8 * (tile.level + 1), tile.index)]);
      }
      for (let level = 0; level < 8; level++) {
        const index = storedHashIndex(8 * tile.level + level, Math.floor((tile.index * 256) / 2 ** level));
        if (2 ** level <= tile.width)
          expect(base64(hashFromTile(tile, bytes, index))).toBe(base64(stored[index] ?? ""));
      }
    }
  });

  test("a real certificate log's proofs hold (x/mod's argon2020)", () => {
    const data = join(xModFolder(), "sumdb/tlog/testdata/argon2020");
    const read = (name: string) => JSON.parse(readFileSync(join(data, name), "utf8"));
    const head = read("sth.json");
    const tree = { size: head.tree_size as number, hash: decode(head.sha256_root_hash) };
    const leaf = recordHash(Buffer.from(read("entries.json").entries[0].leaf_input, "base64"));
    checkRecord(read("proof.json").audit_path.map(decode), tree, 10000, leaf);
    // The older head's hash stands in x/mod's ct_test.go.
    const [, older = ""] =
      /ParseHash\("([^"]+)"\)/.exec(readFileSync(join(data, "../../ct_test.go"), "utf8")) ?? [];
    checkTree(read("consistency.json").consistency.map(decode), tree, { size: 3654490, hash: decode(older) });
  });

  test("the text of a tree head is x/mod's, both ways", async () => {
    for (const n of [0, 1, 123456789012, MAX_TREE_SIZE]) {
      const hash = stored[n % 1000] ?? expect.fail();
      const text = formatTree({ size: n, hash });
      expect(text).toBe(await oracle.ask("formatTree", { size: n, bytes: base64(hash) }));
      expect(parseTree(text).size).toBe(n);
      expect(base64(parseTree(`${text}further lines\nare left for the future\n`).hash)).toBe(base64(hash));
    }
  });
});

function flip(hash: Hash): Hash {
  const flipped = Buffer.from(hash);
  flipped[31] = (flipped[31] ?? 0) ^ 1;
  return flipped;
}
