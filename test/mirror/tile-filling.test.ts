import { beforeAll, describe, expect, test } from "vitest";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { readFilled, tilesFeed } from "../../mirror/tile-filling.ts";
import { lookupKey, parseTreeKey, supportedKey, type TreeKey, tileKey } from "../../mirror/tree-keys.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import type { SumdbSource } from "../../sumdb/source.ts";
import { type Tile, tilePath } from "../../sumdb/tile.ts";
import { edgeWidths, type FilledExtent, fullTilesBetween, type TileExtent } from "../../sumdb/tile-extent.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { CrashingPorts } from "./crashing-ports.ts";
import { TestClock } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { PrivateDatabase } from "./private-database.ts";

const NAME = "sum.example.org";
const MOST = 160_000;
/** One database for all tests, of which each shows its own part: record 500 × n is module m<500 × n>. */
const log = new PrivateDatabase(NAME);
const MODULES_APART = 500;
const versionOf = (id: number) => moduleVersion(`example.com/m${id}`, "v1.0.0");

beforeAll(() => {
  for (let id = 0; id < MOST; id++) {
    if (id % MODULES_APART > 0) log.grow(1);
    else log.add(`example.com/m${id}@v1.0.0`, lines(`example.com/m${id} v1.0.0`));
  }
}, 120_000);

const lines = (version: string) => `${version} ${H1}\n${version}/go.mod ${H1}\n`;
const H1 = `h1:${Buffer.alloc(32, 5).toString("base64")}`;

/** A mirror's stores, and processes over them; the source may be any. */
class World {
  readonly tree = new MemoryTree();
  readonly vault = new MemoryVault();
  readonly ledger = new MemoryLedger();
  readonly clock = new TestClock();
  /** Tiles that were asked for. */
  readonly asked: string[] = [];
  /** Records that the database has by now. */
  size: number;
  source: SumdbSource;
  #started = 0;

  constructor(size = 0) {
    this.size = size;
    this.source = {
      latest: async () => log.head(this.size),
      lookup: async (version) => {
        log.lookupHead = this.size;
        return log.lookup(version);
      },
      tile: async (tile) => {
        this.asked.push(tilePath(tile));
        return log.tile(tile);
      },
    };
  }

  /** A process; `parts` instead of the stores themselves. */
  process(
    tiles: TileExtent,
    parts: { tree?: MemoryTree; ledger?: MemoryLedger } = {},
    latest = () => this.source.latest(),
  ): ChecksumDatabase {
    const { tree, vault, ledger, clock } = { ...this, ...parts };
    return new ChecksumDatabase({
      verifier: log.verifier,
      source: {
        latest,
        lookup: (version) => this.source.lookup(version),
        tile: (tile) => this.source.tile(tile),
      },
      ...{ tree, vault, ledger, tiles },
      now: clock.now,
      report: () => {},
      owner: `process ${this.#started++}`,
    });
  }

  async has(key: TreeKey): Promise<boolean> {
    return (await this.tree.get(key, 1e6)) !== undefined;
  }

  supported = () => this.has(supportedKey(NAME));

  /** What is not held of an extent under a tree of `size` records. */
  async missing(extent: FilledExtent, size: number): Promise<string[]> {
    const missing: string[] = [];
    for (const tile of [
      ...fullTilesBetween(extent, 0, size),
      ...(extent === "full" ? edgeWidths(0, size) : []),
    ])
      if (!(await this.has(tileKey(NAME, tile)))) missing.push(tilePath(tile));
    return missing;
  }

  /** Every tile in the tree that is not what the database has there. */
  async wrong(): Promise<string[]> {
    const wrong: string[] = [];
    for await (const { key } of this.tree.keys()) {
      const entry = parseTreeKey(key);
      if (entry?.kind !== "tile") continue;
      const stored = await this.tree.get(entry.key, 1e6);
      if (Buffer.compare(stored?.bytes ?? Buffer.of(), log.tile(entry.tile)) !== 0) wrong.push(key);
    }
    return wrong;
  }

  /** What an offline client with this head makes of every lookup. */
  async readAll(latest: Uint8Array | undefined, ids: readonly number[]): Promise<void> {
    const tree = {
      read: async (tile: Tile) => (await this.tree.get(tileKey(NAME, tile), 1e6))?.bytes,
      lookup: async (version: Parameters<typeof lookupKey>[1]) =>
        (await this.tree.get(lookupKey(NAME, version), 1e6))?.bytes,
    };
    const { verifier } = log;
    const client = new OfflineClient({ verifier, tree, ...(latest === undefined ? {} : { latest }) });
    for (const id of ids) await client.lookup(versionOf(id));
  }

  async findings(): Promise<string[]> {
    const { tree, ledger } = this;
    const parts = { tree, ledger, zips: zipChecker, verifiers: [log.verifier], progress: () => {} };
    const { findings } = await verifyMirror(parts);
    return findings.map(({ subject, message }) => `${subject}: ${message}`);
  }
}

async function publish(database: ChecksumDatabase, id: number): Promise<void> {
  await database.publish(versionOf(id), await database.prove(versionOf(id)));
}

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

/** A mirror that holds all tiles up to its head. */
async function small(world: World, extent: FilledExtent): Promise<void> {
  const database = world.process(extent);
  await publish(database, 0);
  await database.complete();
}

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

test("a damaged watermark is refused, not taken for a number", async () => {
  const ledger = new MemoryLedger();
  await ledger.moveWatermark({ feed: tilesFeed(NAME, "full"), timestamp: "1e9", revision: 0 });
  expect((await rejectionOf(readFilled(ledger, NAME, "full"))).class).toBe("malformed");
});
