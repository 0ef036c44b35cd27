import { beforeEach, expect, test } from "vitest";
import { FormatError } from "../../gomod/format-error.ts";
import { fullTile, type Tile, tilePath } from "../../sumdb/tile.ts";
import { TileCache } from "../../sumdb/tile-cache.ts";

const [a, b, c] = [0, 1, 2].map((index): Tile => ({ level: 0, index, width: 256 })) as [Tile, Tile, Tile];
const partial: Tile = { ...a, width: 10 };

let asked: string[];
let stored: Map<string, Uint8Array>;
/** Bytes that are told apart by their place; a full tile begins with its partial ones. */
const bytesOf = ({ index, width }: Tile) =>
  Buffer.from(Array.from({ length: 32 * width }, (_, i) => (i + index) % 251));
const store = { read: async (tile: Tile) => stored.get(tilePath(tile)) };
const source = {
  tile: async (tile: Tile): Promise<Uint8Array> => {
    asked.push(tilePath(tile));
    return bytesOf(tile);
  },
};

beforeEach(() => {
  asked = [];
  stored = new Map();
});

test("one request serves all who ask at once, and later ones", async () => {
  const cache = new TileCache(store, source);
  const both = await Promise.all([cache.read(a), cache.read({ ...a })]);
  expect(both[0]).toBe(both[1]);
  expect(await cache.read(a)).toBe(both[0]);
  expect(asked).toEqual(["tile/8/0/000"]);
});

test("no more than the limit is kept, and what was used last stays", async () => {
  const cache = new TileCache(store, source, 2 * 8192);
  for (const tile of [a, b, a, c, a, b]) await cache.read(tile);
  expect(asked).toEqual([a, b, c, b].map(tilePath));
});

test("our own tree comes before the source, and a full tile of it serves for a partial one", async () => {
  const cache = new TileCache(store, source);
  stored.set(tilePath(a), bytesOf(a));
  expect(Buffer.from(await cache.read(partial))).toEqual(bytesOf(partial));
  await cache.read(b);
  expect(asked).toEqual([tilePath(b)]);
  expect([partial, b].map((tile) => cache.isStored(tile))).toEqual([true, false]);
  cache.markStored(b);
  expect(cache.isStored(b)).toBe(true);
});

test("a failure is not kept, and the full tile is asked for only where a partial one is refused", async () => {
  let broken = true;
  const refused = new Error("refused");
  const cache = new TileCache(store, {
    tile: async (tile) => {
      await source.tile(tile);
      if (broken) throw refused;
      return bytesOf(tile);
    },
  });
  await expect(cache.read(partial)).rejects.toBe(refused);
  await expect(cache.read(b)).rejects.toBe(refused);
  expect(asked).toEqual([partial, fullTile(partial), b].map(tilePath));
  broken = false;
  expect(Buffer.from(await cache.read(partial))).toEqual(bytesOf(partial));
});

test("a wrong length is a FormatError and no reason to ask for the full tile", async () => {
  for (const length of [0, 31, 32 * 9, 32 * 11, 8192]) {
    const cache = new TileCache(store, {
      tile: async (tile) => {
        await source.tile(tile);
        return new Uint8Array(length);
      },
    });
    asked = [];
    await expect(cache.read(partial)).rejects.toThrow(FormatError);
    expect(asked).toEqual([tilePath(partial)]);
  }
});

test("what the source changes or shares afterwards does not change what was read", async () => {
  const shared = Buffer.alloc(8192, 1);
  const cache = new TileCache(store, { tile: async () => shared });
  const [first, second] = [await cache.read(a), await cache.read(b)];
  shared.fill(2);
  expect(first).not.toBe(second);
  expect(first.every((byte) => byte === 1)).toBe(true);
});

test("dropped tiles are asked for again, with the full one that they are cut from", async () => {
  const cache = new TileCache(store, {
    tile: async (tile) => {
      asked.push(tilePath(tile));
      if (tile.width < 256) throw new Error("gone");
      return bytesOf(tile);
    },
  });
  await cache.read(partial);
  cache.drop([partial]);
  await cache.read(partial);
  expect(asked).toEqual([partial, a, partial, a].map(tilePath));
});
