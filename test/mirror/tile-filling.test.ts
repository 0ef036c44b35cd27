import { beforeAll, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { readFilled, tilesFeed } from "../../mirror/tile-filling.ts";
import { lookupKey, tileKey } from "../../mirror/tree-keys.ts";
import { tilePath } from "../../sumdb/tile.ts";
import type { FilledExtent } from "../../sumdb/tile-extent.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { fillLog, log, NAME, publish, versionOf, World } from "./tile-filling-world.ts";

beforeAll(fillLog, 120_000);

describe("a proof that fails after it brought the first head", () => {
  test.each(["needed", "upper"] as const)(
    "leaves no head that is published without its edge (%s)",
    async (extent) => {
      const world = new World(1_600);
      const database = world.process(extent);
      const { tile } = world.source;
      // The edge of the first head is there, the tile of the record is not.
      world.source.tile = async (wanted) => {
        if (wanted.level === 0 && wanted.index === 5)
          throw new MirrorError("transient", NAME, `${tilePath(wanted)}: no answer`);
        return tile(wanted);
      };
      await expect(database.prove(versionOf(1_500))).rejects.toThrow("no answer");
      await database.complete();
      expect((await world.ledger.readHead(NAME))?.size).toBe(1_600);
      for (const edge of [
        { level: 0, index: 6, width: 64 },
        { level: 1, index: 0, width: 6 },
      ])
        expect(await world.has(tileKey(NAME, edge)), tilePath(edge)).toBe(true);
    },
  );
});

describe("supported", () => {
  test("is not there until all tiles of the extent are, though lookups are stored meanwhile", async () => {
    const world = new World(150_000);
    const database = world.process("full");
    await publish(database, 0);
    expect(await world.has(lookupKey(NAME, versionOf(0)))).toBe(true);
    expect(await world.supported()).toBe(false);

    // Time for one step only.
    let left = 100_000;
    const deadline = {
      remaining: () => {
        left -= 50_000;
        return left;
      },
    };
    expect(await world.process("full").complete(deadline)).toBe(false);
    expect(await world.supported()).toBe(false);
    expect((await readFilled(world.ledger, NAME, "full")).reached).toBe(65_536);

    world.asked.length = 0;
    expect(await world.process("full").complete()).toBe(true);
    expect(await world.supported()).toBe(true);
    expect(await world.missing("full", world.size)).toEqual([]);
    // It went on where it had stopped.
    expect(world.asked.filter((path) => /^tile\/8\/0\/[01]\d\d$/.test(path))).toEqual([]);
    expect(await world.findings()).toEqual([]);
  });

  test("comes with the first head where little is missing, and stays when the extent is raised", async () => {
    const world = new World(1_000);
    await publish(world.process("needed"), 0);
    expect(await world.supported()).toBe(true);
    world.size = 150_000;
    const raised = world.process("full");
    await raised.advance();
    await publish(raised, 1_000);
    expect(await world.supported()).toBe(true);
    expect((await world.missing("full", world.size)).length).toBeGreaterThan(500);
    expect(await raised.complete()).toBe(true);
    expect(await world.missing("full", world.size)).toEqual([]);

    const small = new World(1_000);
    await publish(small.process("full"), 0);
    expect(await small.supported()).toBe(true);
    expect(await small.missing("full", small.size)).toEqual([]);
  });

  test("without a head there is nothing to do", async () => {
    const world = new World();
    expect(await world.process("upper").complete()).toBe(true);
    expect(world.tree.writes).toEqual([]);
  });
});

describe("once filled", () => {
  test.each<FilledExtent>(["upper", "full"])(
    "%s: no head is published before its tiles, also when a record beyond the head moves it",
    async (extent) => {
      const world = new World(60_000);
      const database = world.process(extent);
      await publish(database, 0);
      expect(await database.complete()).toBe(true);
      const before = (await world.ledger.readHead(NAME))?.size ?? 0;
      // The source does not give a tile that is on no way to the next head.
      world.size = 140_000;
      const between = extent === "upper" ? "tile/8/1/001" : "tile/8/0/400";
      const refused = new MirrorError("transient", "tile", "tile: does not answer");
      const { tile } = world.source;
      world.source = {
        ...world.source,
        tile: async (asked) => (tilePath(asked) === between ? Promise.reject(refused) : await tile(asked)),
      };
      expect((await rejectionOf(world.process(extent).advance())).class).toBe("transient");
      const late = world.process(extent);
      const proven = await late.prove(versionOf(139_500));
      expect((await rejectionOf(late.publish(versionOf(139_500), proven))).class).toBe("transient");
      expect(await world.has(lookupKey(NAME, versionOf(139_500)))).toBe(false);
      expect((await world.ledger.readHead(NAME))?.size).toBe(before);

      world.source = { ...world.source, tile };
      await publish(late, 139_500);
      const now = (await world.ledger.readHead(NAME))?.size ?? 0;
      expect(now).toBeGreaterThan(before);
      expect(await world.missing(extent, now)).toEqual([]);
    },
  );

  test("a head far beyond waits for complete, and every public head in between is served", async () => {
    const world = new World(300);
    const database = world.process("full");
    await publish(database, 0);
    expect(await world.supported()).toBe(true);
    const sizes = [300, 301, 555, 557, 70_557, 150_557, 150_812, 150_819];
    world.size = 150_819;
    expect((await rejectionOf(database.advance())).message).toContain("waits for the tiles");
    const other = world.process("full");
    await rejectionOf(other.advance());
    expect(await other.complete()).toBe(true);
    expect((await world.ledger.readHead(NAME))?.size).toBe(world.size);
    await publish(other, 150_500);
    for (const latest of [undefined, ...sizes.map((size) => log.head(size))])
      await world.readAll(latest, [0, 150_500]);
    expect(await world.wrong()).toEqual([]);
  });
});

test("a damaged watermark is refused, not taken for a number", async () => {
  const ledger = new MemoryLedger();
  await ledger.moveWatermark({ feed: tilesFeed(NAME, "full"), timestamp: "1e9", revision: 0 });
  expect((await rejectionOf(readFilled(ledger, NAME, "full"))).class).toBe("malformed");
});
