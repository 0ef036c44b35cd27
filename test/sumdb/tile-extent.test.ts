import { afterAll, beforeAll, expect, test } from "vitest";
import { type SignedHead, SumdbClient } from "../../sumdb/client.ts";
import { HeadTiles } from "../../sumdb/head-tiles.ts";
import { parseVerifierKey, type Verifier } from "../../sumdb/note.ts";
import { fullTile, isFull, parseTilePath, type Tile, tilePath } from "../../sumdb/tile.ts";
import {
  countFullTiles,
  edgeWidths,
  extentStep,
  type FilledExtent,
  fullTilesBetween,
} from "../../sumdb/tile-extent.ts";
import { openTreeHead } from "../../sumdb/tree-head.ts";
import { describeWithOracle } from "../go-command.ts";
import { base64, type GoClientRun, Oracle, PrivateDatabase } from "./oracle.ts";
import { grown, PublishedTree, shuffled } from "./published-tree.ts";

const name = "example.com/extent";
const TIMEOUT = 120_000;
/** On both sides of full tiles, of empty edges and of three levels. */
const SIZES = [1, 255, 256, 257, 511, 600, 65_535, 65_536, 65_537, 65_791, 65_792, 131_071, 131_400];

describeWithOracle("what a mirror holds of a database's tiles, against x/mod", () => {
  let oracle: Oracle;
  let keys: { signer: string; verifier: string };
  let verifier: Verifier;
  beforeAll(async () => {
    oracle = new Oracle();
    keys = await oracle.ask("generateKey", { text: name });
    verifier = parseVerifierKey(keys.verifier);
  });
  afterAll(() => oracle.stop());

  const newTiles = async (from: number, to: number): Promise<Tile[]> =>
    (await oracle.ask<string[]>("newTiles", { oldSize: from, size: to })).map(parseTilePath);

  test("full: of every tree up to a head each tile is held, or the full one of its place", async () => {
    const held = new Set<string>();
    let before = 0;
    for (const size of SIZES) {
      for (const tile of fullTilesBetween("full", before, size)) held.add(tilePath(tile));
      for (const tile of edgeWidths(before, size)) held.add(tilePath(tile));
      before = size;
      // Every size near the head, and some below: all tiles that x/mod publishes for a tree of that size.
      const below = [size, size - 1, size - 2, size - 100, size - 256, size - 300, Math.floor(size / 2), 1];
      for (const older of new Set(below.filter((n) => n > 0))) {
        for (const tile of await newTiles(0, older))
          expect(held.has(tilePath(tile)) || held.has(tilePath(fullTile(tile))), tilePath(tile)).toBe(true);
      }
    }
  });

  test.each<FilledExtent>(["upper", "full"])(
    "%s: its full tiles are those that x/mod publishes, whatever the steps",
    async (extent) => {
      const lowest = extent === "full" ? 0 : 1;
      const held = new Set<string>();
      let before = 0;
      for (const size of SIZES) {
        for (const tile of fullTilesBetween(extent, before, size)) {
          expect(held.has(tilePath(tile))).toBe(false);
          held.add(tilePath(tile));
        }
        before = size;
        const published = (await newTiles(0, size)).filter((tile) => isFull(tile) && tile.level >= lowest);
        expect([...held].sort()).toEqual(published.map(tilePath).sort());
        expect(countFullTiles(extent, size)).toBe(held.size);
      }
    },
  );

  test("the public database's numbers", () => {
    const size = 71_909_756;
    expect([countFullTiles("upper", size), countFullTiles("full", size)]).toEqual([1_101, 281_998]);
    expect([...edgeWidths(0, size)].length).toBeLessThan(4 * 256);
    expect(Math.ceil(size / extentStep("full"))).toBe(1_098);
  });

  test(
    "a client that has seen any head verifies every lookup from a static full tree, and not without the edge's widths",
    async () => {
      const database = await PrivateDatabase.create(oracle, "static", keys.signer);
      const tree = new PublishedTree();
      const publicHeads: SignedHead[] = [];
      let head: SignedHead | undefined;
      let filled = 0;
      // Of each two heads the mirror publishes one; between them the same tiles grow.
      for (const [at, size] of [100, 130, 65_700, 65_790, 65_800, 66_100, 66_110, 66_150].entries()) {
        await database.grow(size);
        publicHeads.push(openTreeHead(await database.latest(), verifier));
        if (at % 2 === 0) continue;
        const client = new SumdbClient({
          name,
          verifier,
          source: database,
          store: tree,
          ...(head && { head }),
        });
        const advanced = await client.advance();
        tree.store(advanced.tiles);
        client.stored(advanced.tiles.map(({ tile }) => tile));
        head = advanced.head;
        for (const id of [0, size - 1, Math.floor(size / 3)])
          tree.publish(grown(id), await client.prove(grown(id)), client);
        const tiles = new HeadTiles(head, tree, database);
        const wanted = [...fullTilesBetween("full", filled, size), ...edgeWidths(filled, size)];
        for (const tile of wanted) {
          const read = await tiles.read(tile);
          tree.store([...read.notStored, read.tile]);
        }
        filled = size;
      }

      const failures = async (files: PublishedTree) => {
        await oracle.ask("tree", { path: "static", files: files.encoded() });
        let failed = 0;
        for (const latest of publicHeads) {
          for (const versions of [tree.lookups(), tree.lookups().toReversed(), shuffled(tree.lookups(), 7)]) {
            const run = await oracle.ask<GoClientRun>("client", {
              text: keys.verifier,
              tree: "static",
              versions,
              latest: base64(latest.note),
            });
            failed += run.results.filter(({ error }) => error !== undefined).length;
          }
        }
        return failed;
      };
      expect(await failures(tree)).toBe(0);

      const bare = tree.copy();
      const last = publicHeads.at(-1)?.size ?? 0;
      const own = new Set([...edgeWidths(0, last)].map((tile) => `${tile.level} ${tile.index}`));
      for (const path of bare.tiles()) {
        const tile = parseTilePath(path.slice(1));
        const published = [130, 65_790, 66_100, 66_150].some(
          (size) => Math.floor(size / 256 ** tile.level) - tile.index * 256 === tile.width,
        );
        if (own.has(`${tile.level} ${tile.index}`) && !isFull(tile) && !published) bare.files.delete(path);
      }
      expect(await failures(bare)).toBeGreaterThan(0);
    },
    TIMEOUT,
  );
});
