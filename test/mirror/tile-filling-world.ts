import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { ChecksumDatabase } from "../../mirror/checksum-database.ts";
import { lookupKey, parseTreeKey, supportedKey, type TreeKey, tileKey } from "../../mirror/tree-keys.ts";
import { verifyMirror } from "../../mirror/verify.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import type { SumdbSource } from "../../sumdb/source.ts";
import { type Tile, tilePath } from "../../sumdb/tile.ts";
import { edgeWidths, type FilledExtent, fullTilesBetween, type TileExtent } from "../../sumdb/tile-extent.ts";
import { TestClock } from "./made-mirror.ts";
import { PrivateDatabase } from "./private-database.ts";

/** The database that is followed. */
export const NAME = "sum.example.org";
/** Its records, at most. */
export const MOST = 160_000;
/** One database for all tests, of which each shows its own part: record 500 × n is module m<500 × n>. */
export const log = new PrivateDatabase(NAME);
const MODULES_APART = 500;
export const versionOf = (id: number) => moduleVersion(`example.com/m${id}`, "v1.0.0");

/** To be called once, before all tests of a file. */
export function fillLog(): void {
  for (let id = 0; id < MOST; id++) {
    if (id % MODULES_APART > 0) log.grow(1);
    else log.add(`example.com/m${id}@v1.0.0`, lines(`example.com/m${id} v1.0.0`));
  }
}

const lines = (version: string) => `${version} ${H1}\n${version}/go.mod ${H1}\n`;
const H1 = `h1:${Buffer.alloc(32, 5).toString("base64")}`;

/** A mirror's stores, and processes over them; the source may be any. */
export class World {
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

/** Proves the record of module m<id> and publishes it. */
export async function publish(database: ChecksumDatabase, id: number): Promise<void> {
  await database.publish(versionOf(id), await database.prove(versionOf(id)));
}

/** A mirror that holds all tiles up to its head. */
export async function small(world: World, extent: FilledExtent): Promise<void> {
  const database = world.process(extent);
  await publish(database, 0);
  await database.complete();
}
