import { beforeAll, describe, expect, test } from "vitest";
import type { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { sha256Of } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { readFilled } from "../../mirror/tile-filling.ts";
import { type TreeKey, tileKey } from "../../mirror/tree-keys.ts";
import type { Tile } from "../../sumdb/tile.ts";
import type { FilledExtent } from "../../sumdb/tile-extent.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { CrashingPorts } from "./crashing-ports.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { PrivateDatabase } from "./private-database.ts";
import { fillLog, log, MOST, NAME, publish, small, World } from "./tile-filling-world.ts";

beforeAll(fillLog, 120_000);

describe("a source that is not the database's", () => {
  type Lie = (tile: Tile, right: Uint8Array, forked: PrivateDatabase) => Promise<Uint8Array> | Uint8Array;
  const lies: [string, Lie, string][] = [
    [
      "a flipped bit",
      (_, right) => Buffer.from(right.map((byte, at) => (at === 100 ? byte ^ 1 : byte))),
      "malformed",
    ],
    ["another tile", (_, right) => Buffer.alloc(right.length, 7), "malformed"],
    [
      "another history's tile",
      (_tile, _, forked) => forked.tile({ level: 0, index: 0, width: 256 }),
      "malformed",
    ],
    ["a short tile", (_, right) => right.subarray(0, right.length - 32), "malformed"],
    ["a long tile", (_, right) => Buffer.concat([right, right]), "malformed"],
    ["nothing", () => Promise.reject(new MirrorError("absent", "tile", "tile: 404")), "transient"],
    ["a refusal", () => Promise.reject(new MirrorError("withheld", "tile", "tile: 403")), "transient"],
  ];
  test.each(lies)("%s is never stored, and supported waits", async (_, lie, errorClass) => {
    const world = new World(MOST);
    const forked = new PrivateDatabase(NAME);
    forked.add("x", "another history\n");
    forked.grow(300);
    const { tile } = world.source;
    const wrong = 548;
    world.source = {
      ...world.source,
      tile: async (asked) => {
        const right = await tile(asked);
        return asked.level === 0 && asked.index === wrong ? await lie(asked, right, forked) : right;
      },
    };
    const database = world.process("full");
    await publish(database, 0);
    expect((await rejectionOf(database.complete())).class).toBe(errorClass);
    expect(await world.supported()).toBe(false);
    expect(await world.wrong()).toEqual([]);
    expect(await world.has(tileKey(NAME, { level: 0, index: wrong, width: 256 }))).toBe(false);

    world.source = { ...world.source, tile };
    expect(await world.process("full").complete()).toBe(true);
    expect(await world.wrong()).toEqual([]);
  });

  test("one that lacks a tile is told what can be done", async () => {
    const world = new World(140_000);
    const { tile } = world.source;
    world.source = {
      ...world.source,
      tile: async (asked) => {
        if (asked.level === 1 && asked.index === 1)
          throw new MirrorError("absent", "tile", "tile/8/1/001: 404");
        return await tile(asked);
      },
    };
    const database = world.process("upper");
    await publish(database, 139_500);
    expect(await world.supported()).toBe(false);
    expect((await rejectionOf(database.complete())).message).toMatch(/tile\/8\/1\/001.*--tiles needed/);
  });
});

describe("a filling that dies at any call", () => {
  test.each<[FilledExtent, "die" | "fail"]>([
    ["full", "die"],
    ["full", "fail"],
    ["upper", "die"],
  ])(
    "%s, %s: the next goes on, and no head or supported is there too early",
    async (extent, kind) => {
      for (const applied of [false, true]) {
        for (let at = 0, ended = false; !ended; at = at < 14 ? at + 1 : Math.floor(at * 1.5)) {
          // The next head completes tiles of the extent.
          const world = new World(extent === "full" ? 600 : 65_400);
          await small(world, extent);
          world.size = extent === "full" ? 1_300 : 65_800;
          const ports = { tree: world.tree, vault: world.vault, ledger: world.ledger };
          const crashing = new CrashingPorts(
            { ...ports, queue: new MemoryQueue(), upstream: new MadeUpstream() },
            () => 0,
          );
          crashing.plan([{ at, kind, applied }]);
          const dying = world.process(
            extent,
            crashing.ports as unknown as { tree: MemoryTree; ledger: MemoryLedger },
          );
          const failed = await dying.advance().then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          ended = failed === undefined || at > 5_000;
          if (kind === "die" && !ended) expect(crashing.dead, String(failed)).toBe(true);
          // What a reader may see now.
          const newest = (await world.ledger.readHead(NAME))?.size ?? 0;
          expect(await world.missing(extent, newest)).toEqual([]);
          const filled = await readFilled(world.ledger, NAME, extent);
          expect(await world.missing(extent, filled.size)).toEqual([]);

          // Until a dead process's lease has run out.
          world.clock.ms += 120_000;
          const next = world.process(extent);
          await next.advance();
          expect(await next.complete()).toBe(true);
          expect(await world.missing(extent, world.size)).toEqual([]);
          expect(await world.wrong()).toEqual([]);
        }
      }
    },
    300_000,
  );

  test("several at once, to different heads, leave what one would", async () => {
    const world = new World();
    world.size = 1_500;
    const processes = [66_000, 67_400, 66_003].map((size) =>
      world.process("full", {}, async () => log.head(size)),
    );
    await Promise.all(processes.map((database, at) => publish(database, 500 * at).catch(() => undefined)));
    await Promise.all(processes.map((database) => database.advance()));
    await Promise.all(processes.map((database) => database.complete()));
    world.size = 67_400;
    for (const [at, database] of processes.entries()) await publish(database, 500 * at);
    expect(await world.supported()).toBe(true);
    expect(await world.missing("full", (await world.ledger.readHead(NAME))?.size ?? 0)).toEqual([]);
    expect(await world.wrong()).toEqual([]);
    expect((await world.ledger.readHead(NAME))?.size).toBe(67_400);
    for (const size of [1_499, 65_999, 66_001, 67_000]) await world.readAll(log.head(size), [0, 500, 1_000]);
  });
});

test("what a disk has lost of the tiles that are said to be held comes back, and a damaged one is not taken", async () => {
  const world = new World(70_000);
  await small(world, "full");
  const [gone, damaged] = [12, 200].map((index) => tileKey(NAME, { level: 0, index, width: 256 }));
  const edge = tileKey(NAME, { level: 0, index: 273, width: 30 });
  const left = async (without: readonly unknown[], wrong?: unknown) => {
    const tree = new MemoryTree();
    for await (const { key } of world.tree.keys()) {
      const bytes = (await world.tree.get(key as TreeKey, 1e6))?.bytes ?? Buffer.of();
      const kept = key === wrong ? Buffer.alloc(bytes.length, 1) : bytes;
      if (!without.includes(key)) await tree.create(key as TreeKey, kept, sha256Of(kept));
    }
    return tree;
  };
  const tree = await left([gone, edge]);
  world.asked.length = 0;
  await world.process("full", { tree }).refill();
  expect(
    tree.writes
      .slice(-2)
      .map(({ key }) => key)
      .sort(),
  ).toEqual([gone, edge].sort());
  expect(world.asked).toEqual(["tile/8/0/012"]);

  const spoilt = await left([gone], damaged);
  const before = spoilt.writes.length;
  expect((await rejectionOf(world.process("full", { tree: spoilt }).refill())).message).toContain(
    "tile/8/0/200",
  );
  expect(spoilt.writes.slice(before).map(({ key }) => key)).not.toContain(damaged);
});
