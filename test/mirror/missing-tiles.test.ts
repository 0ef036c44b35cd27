import { describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import type { Answer } from "../../mirror/answer.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { MissingTiles } from "../../mirror/missing-tiles.ts";
import { answer } from "../../mirror/serve.ts";
import { tilesFeed } from "../../mirror/tile-filling.ts";
import { supportedKey, type TreeKey, tileKey, treeHeadKey } from "../../mirror/tree-keys.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { type Tile, tilePath } from "../../sumdb/tile.ts";
import { edgeWidths, fullTilesBetween } from "../../sumdb/tile-extent.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { TestClock } from "./made-mirror.ts";
import { PrivateDatabase } from "./private-database.ts";

const NAME = "sum.example.org";
const SIZE = 3_000;
const log = new PrivateDatabase(NAME);
log.grow(SIZE + 500);
const head = openTreeHead(log.head(SIZE), log.verifier);
const full = (index: number, level = 0): Tile => ({ level, index, width: 256 });

/** An endpoint over an empty tree with a published head; the source may be any. */
class Endpoint {
  readonly tree = new MemoryTree();
  readonly ledger = new MemoryLedger();
  readonly clock = new TestClock();
  readonly asked: string[] = [];
  source = async (tile: Tile): Promise<Uint8Array> => log.tile(tile);
  readonly tiles = new MissingTiles({
    database: NAME,
    source: {
      tile: async (tile) => {
        this.asked.push(tilePath(tile));
        return await this.source(tile);
      },
    },
    tree: this.tree,
    now: this.clock.now,
  });

  async ask(tile: Tile): Promise<Answer> {
    await this.ledger.addHead(NAME, head);
    const parts = {
      tree: this.tree,
      ledger: this.ledger,
      now: this.clock.now,
      missingTiles: () => this.tiles,
    };
    return await answer(parts, tileKey(NAME, tile), Number.POSITIVE_INFINITY);
  }

  async status(tile: Tile): Promise<number> {
    const reply = await this.ask(tile);
    if (reply.kind !== "object") return reply.kind === "text" ? reply.status : 302;
    const sent = await reply.object.read(0, reply.object.size);
    expect(Buffer.compare(sent, log.tile(tile))).toBe(0);
    return 200;
  }

  stored = async (tile: Tile) => (await this.tree.get(tileKey(NAME, tile), 1e5))?.bytes;
}

describe("a connected endpoint that is asked for a tile it lacks", () => {
  test("fetches, proves and stores it, and asks for it no more", async () => {
    const endpoint = new Endpoint();
    expect(await endpoint.status(full(4))).toBe(200);
    expect(Buffer.from((await endpoint.stored(full(4))) ?? "")).toEqual(Buffer.from(log.tile(full(4))));
    // With what proves it: the edge, here the only parent.
    expect(await endpoint.stored({ level: 1, index: 0, width: Math.floor(SIZE / 256) })).toBeDefined();
    const asked = endpoint.asked.length;
    expect(await endpoint.status(full(4))).toBe(200);
    expect(endpoint.asked.length).toBe(asked);
    expect(await endpoint.status(full(5))).toBe(200);
    expect(endpoint.asked.length).toBe(asked + 1);
  });

  test("cuts a partial tile of an older head's edge from the wider one, and leaves those of filled places", async () => {
    const endpoint = new Endpoint();
    const edge = { level: 0, index: Math.floor(SIZE / 256), width: SIZE % 256 };
    expect(await endpoint.status(edge)).toBe(200);
    const asked = endpoint.asked.length;
    for (const width of [1, edge.width - 1]) expect(await endpoint.status({ ...edge, width })).toBe(200);
    expect(await endpoint.status({ level: 1, index: 0, width: 7 })).toBe(200);
    // go asks for the full tile after this.
    expect(await endpoint.status({ level: 0, index: 3, width: 9 })).toBe(404);
    expect(endpoint.asked.length).toBe(asked);
    expect(await endpoint.stored({ level: 0, index: 3, width: 9 })).toBeUndefined();
  });

  test.each([
    [
      "a flipped bit",
      (_: Tile, right: Uint8Array) => Buffer.from(right.map((byte, at) => (at === 9 ? byte ^ 1 : byte))),
    ],
    ["a short tile", (_: Tile, right: Uint8Array) => right.subarray(32)],
    ["a long tile", (_: Tile, right: Uint8Array) => Buffer.concat([right, right])],
    ["another tile", () => log.tile(full(8))],
  ])("%s is a 503 and never stored", async (_, lie) => {
    const endpoint = new Endpoint();
    endpoint.source = async (tile) =>
      tilePath(tile) === "tile/8/0/004" ? lie(tile, log.tile(tile)) : log.tile(tile);
    expect(await endpoint.status(full(4))).toBe(503);
    expect(await endpoint.stored(full(4))).toBeUndefined();
    const asked = endpoint.asked.length;
    expect(await endpoint.ask(full(4))).toMatchObject({ status: 503, retryAfter: 30 });
    expect(endpoint.asked.length).toBe(asked);
    endpoint.source = async (tile) => log.tile(tile);
    endpoint.clock.ms += 31_000;
    expect(await endpoint.status(full(4))).toBe(200);
  });

  test("what upstream lacks is a 404, remembered for half a minute; all other trouble is a 503", async () => {
    for (const [errorClass, status] of [
      ["absent", 404],
      ["transient", 503],
      ["unauthorized", 503],
      ["withheld", 503],
      ["malformed", 503],
    ] as const) {
      const endpoint = new Endpoint();
      endpoint.source = () => Promise.reject(new MirrorError(errorClass, "tile", "tile: told by the test"));
      expect(await endpoint.status(full(2)), errorClass).toBe(status);
      const asked = endpoint.asked.length;
      for (let times = 0; times < 3; times++) expect(await endpoint.status(full(2)), errorClass).toBe(status);
      expect(endpoint.asked.length).toBe(asked);
      endpoint.source = async (tile) => log.tile(tile);
      endpoint.clock.ms += 31_000;
      expect(await endpoint.status(full(2))).toBe(200);
    }
  });

  test("nothing beyond the head is asked for, whatever a client wants", async () => {
    const endpoint = new Endpoint();
    for (const tile of [
      full(11),
      full(1_000_000),
      full(0, 1),
      full(0, 5),
      { level: 0, index: 11, width: 200 },
    ]) {
      const reply = await endpoint.ask(tile);
      expect(reply).toMatchObject({
        kind: "text",
        status: 404,
        text: expect.stringContaining(`tree size ${SIZE}`),
      });
    }
    expect(endpoint.asked).toEqual([]);
    expect(endpoint.tree.writes).toEqual([]);
  });

  test("equal misses are one request, and more than 16 different ones at once wait", async () => {
    const endpoint = new Endpoint();
    await endpoint.status({ level: 1, index: 0, width: Math.floor(SIZE / 256) });
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    endpoint.source = async (tile) => {
      await held;
      return log.tile(tile);
    };
    endpoint.asked.length = 0;
    const same = Array.from({ length: 50 }, () => endpoint.status(full(1)));
    // Widths of one place are cut from one tile, which is lost here.
    const others = Array.from({ length: 30 }, (_, at) =>
      endpoint.ask({ level: 0, index: 11, width: at + 1 }),
    );
    const refused = (await Promise.all(others.slice(15))).filter((reply) => reply.kind === "text");
    expect(refused.length).toBe(15);
    for (const reply of refused)
      expect(reply).toMatchObject({ status: 503, retryAfter: 5, text: expect.stringContaining("too many") });
    release();
    expect(await Promise.all(same)).toEqual(Array.from({ length: 50 }, () => 200));
    await Promise.all(others);
    expect(endpoint.asked.filter((path) => path === "tile/8/0/001")).toHaveLength(1);
    expect(new Set(endpoint.asked).size).toBe(endpoint.asked.length);
  });
});

describe("verify", () => {
  async function filled() {
    const endpoint = new Endpoint();
    const { tree, ledger } = endpoint;
    const put = (key: TreeKey, bytes: Uint8Array) => tree.create(key, bytes, sha256Of(bytes));
    for (const tile of [...fullTilesBetween("full", 0, SIZE), ...edgeWidths(0, SIZE)])
      await put(tileKey(NAME, tile), log.tile(tile));
    await put(supportedKey(NAME), new Uint8Array());
    await tree.replace(treeHeadKey(NAME), head.note, undefined);
    await ledger.addHead(NAME, head);
    await ledger.moveWatermark({ feed: tilesFeed(NAME, "full"), timestamp: String(SIZE), revision: 0 });
    return endpoint;
  }
  /** What it finds when some files are gone and others are different. */
  async function findings(files: Readonly<Record<string, Uint8Array | undefined>>): Promise<string[]> {
    const { tree, ledger } = await filled();
    const changed = new MemoryTree();
    for await (const { key } of tree.keys()) {
      const stored = await tree.get(key as TreeKey, 1e5);
      const bytes = key in files ? files[key] : stored?.bytes;
      if (bytes !== undefined) await changed.create(key as TreeKey, bytes, sha256Of(bytes));
    }
    const parts = { tree: changed, ledger, zips: zipChecker, verifiers: [log.verifier], progress: () => {} };
    return (await verifyMirror(parts)).findings.map(({ subject, message }) => `${subject}: ${message}`);
  }
  const flipped = (tile: Tile) => Buffer.from(log.tile(tile).map((byte, at) => (at === 5 ? byte ^ 1 : byte)));

  test("finds nothing in a tree that holds all", async () => {
    expect(await findings({})).toEqual([]);
  });

  test("finds a full tile, and a partial one, whose bytes are not the head's", async () => {
    for (const tile of [full(7), { level: 0, index: 11, width: 100 }]) {
      const found = await findings({ [tileKey(NAME, tile)]: flipped(tile) });
      expect(found).toHaveLength(1);
      expect(found[0]).toContain(tilePath(tile));
    }
  });

  test("finds a damaged edge once, not with every tile below", async () => {
    const edge = { level: 1, index: 0, width: 11 };
    const found = await findings({ [tileKey(NAME, edge)]: flipped(edge) });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(tilePath(edge));
  });

  test("finds what is missing of the extent that the ledger says is held, and names the remedy", async () => {
    const gone = [full(3), { level: 0, index: 11, width: 50 }].map((tile) => tileKey(NAME, tile));
    const found = await findings(Object.fromEntries(gone.map((key) => [key, undefined])));
    expect(found).toHaveLength(2);
    for (const key of gone) expect(found.join()).toContain(key);
    expect(found[0]).toContain("--refill-tiles");
    const all = Array.from({ length: 11 }, (_, index) => tileKey(NAME, full(index)));
    expect(await findings(Object.fromEntries(all.map((key) => [key, undefined])))).toHaveLength(11);
  });
});
