import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { MemoryTree } from "../adapters/local/memory-tree.ts";
import { MemoryVault } from "../adapters/local/memory-vault.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { openSources } from "../adapters/upstream/sources.ts";
import type { ChecksumDatabase } from "../mirror/checksum-database.ts";
import type { Report } from "../mirror/events.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import type { Ledger, Tree, Vault } from "../mirror/ports.ts";
import type { TileExtent } from "../sumdb/tile-extent.ts";
import type { CliEnvironment } from "./environment.ts";
import type { Options } from "./options.ts";
import { chooseUpstream } from "./upstream-choice.ts";

/** A mirror that runs in this process; its queue is drained by the caller. */
export interface EmbeddedMirror {
  readonly parts: MirrorParts;
  readonly queue: MemoryQueue;
  readonly databases: readonly ChecksumDatabase[];
  close(): Promise<void>;
}

interface Stores {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly spools: SpoolFolder;
  close(): Promise<void>;
}

/** A desk may wait longer for a large zip over a slow line than a function can: half an hour, in ms. */
export const LONGEST_REPLY = 1_800_000;

/** Opens the folder mirror of the options for writing. @throws MirrorError misuse when it cannot be, or has a writer. */
export async function openEmbedded(
  options: Options,
  environment: CliEnvironment,
  report: Report,
): Promise<EmbeddedMirror> {
  return await assemble(
    options,
    environment,
    report,
    await openFolderMirror(options.mirror, { mode: "write" }),
    options.tiles,
  );
}

/** A mirror in memory: what `modferry closure` loads is gone afterwards. */
export async function openInMemory(
  options: Options,
  environment: CliEnvironment,
  report: Report,
): Promise<EmbeddedMirror> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-"));
  // Also when a signal ends the process.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const stores = {
    tree: new MemoryTree(),
    vault: new MemoryVault(),
    ledger: new MemoryLedger(),
    spools: new SpoolFolder(folder),
    close: () => rm(folder, { recursive: true, force: true }),
  };
  // Nobody reads it but this process.
  return await assemble(options, environment, report, stores, "needed");
}

async function assemble(
  options: Options,
  environment: CliEnvironment,
  report: Report,
  stores: Stores,
  tiles: TileExtent,
): Promise<EmbeddedMirror> {
  try {
    const { tree, ledger, vault, spools } = stores;
    const sources = openSources({
      url: await chooseUpstream(options, environment),
      sumdbs: options.sumdbs,
      netrc: await environment.netrc(),
      noSumdb: options.noSumdb ?? (await environment.gonosumdb()),
      spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
      timing: { whole: LONGEST_REPLY },
      tree,
      vault,
      ledger,
      report,
      owner: `${hostname()}:${process.pid}`,
      tiles,
    });
    const queue = new MemoryQueue();
    const { upstream, databasesFor, databases } = sources;
    const parts = {
      tree,
      vault,
      ledger,
      queue,
      upstream,
      zips: zipChecker,
      databasesFor,
      now: Date.now,
      report,
    };
    const close = async () => {
      await sources.close();
      await stores.close();
    };
    return { parts, queue, databases, close };
  } catch (error) {
    await stores.close();
    throw error;
  }
}
