import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type EngineConfiguration, engineOf } from "../adapters/configuration/engine.ts";
import {
  type EngineSources,
  engineFeeds,
  enginePolicy,
  engineSources,
} from "../adapters/configuration/open-engine.ts";
import type { Egress } from "../adapters/egress/egress.ts";
import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { MemoryTree } from "../adapters/local/memory-tree.ts";
import { MemoryVault } from "../adapters/local/memory-vault.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { openUpstream } from "../adapters/upstream/open-upstream.ts";
import type { SpoolChunks } from "../adapters/upstream/reply-body.ts";
import { SeededUpstream } from "../adapters/upstream/seeded-upstream.ts";
import { openSources } from "../adapters/upstream/sources.ts";
import type { ChecksumDatabase } from "../mirror/checksum-database.ts";
import type { Report } from "../mirror/events.ts";
import { type GarbageSettings, garbageSettings } from "../mirror/garbage/settings.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import type { Ledger, Queue, Tree, Vault } from "../mirror/ports.ts";
import type { SnapshotSettings } from "../mirror/snapshot/schedule.ts";
import type { SpoolBody } from "../mirror/snapshot/spooled-runs.ts";
import type { FeedSettings } from "../mirror/tick.ts";
import { tracedQueue } from "../mirror/traced-queue.ts";
import { MirroredVulnerabilities } from "../mirror/vulndb-reader.ts";
import type { TileExtent } from "../sumdb/tile-extent.ts";
import { loadConfiguration } from "./configuration.ts";
import type { CliEnvironment } from "./environment.ts";
import type { OpenMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { chooseUpstream } from "./upstream-choice.ts";

/** A mirror that runs in this process; its queue is drained by the caller. */
export interface EmbeddedMirror {
  readonly parts: MirrorParts;
  readonly queue: MemoryQueue;
  readonly databases: readonly ChecksumDatabase[];
  /** Names this process in leases. */
  readonly owner: string;
  /** Of a configuration: where new versions are learnt, and where the vulnerability database is. */
  readonly feeds: FeedSettings | undefined;
  readonly vulndb: string | undefined;
  /** When snapshots are taken, and where they are made. */
  readonly snapshots: { readonly settings: SnapshotSettings | undefined; readonly spool: SpoolBody };
  /** Of a configuration: what is kept that nothing asks for any more, and how often the rest is collected. */
  readonly garbage: GarbageSettings | undefined;
  /** Which proxy leads where. */
  readonly egress: Egress;
  /** Files of a module cache go before upstream's. */
  readonly seed: SeededUpstream | undefined;
  close(): Promise<void>;
}

interface Stores {
  readonly tree: Tree;
  readonly vault: Vault;
  readonly ledger: Ledger;
  readonly spools: Pick<SpoolFolder, "spool">;
  /** Left out: one in this process. */
  readonly queue?: Queue;
  /** Reads a secret that the configuration names; left out: there are none here. */
  readonly secret?: ((name: string) => Promise<string>) | undefined;
  close(): Promise<void>;
}

/** A desk may wait longer for a large zip over a slow line than a function can: half an hour, in ms. */
export const LONGEST_REPLY = 1_800_000;

/**
 * A deployed mirror with sources of this desk's: for what a person brings back. Its stores stay the caller's to close.
 */
export async function openBeside(
  mirror: OpenMirror,
  options: Options,
  environment: CliEnvironment,
  report: Report,
): Promise<EmbeddedMirror> {
  const { tree, vault, ledger, queue, secret } = mirror;
  const stores = { tree, vault, ledger, queue, spools: mirror.spools, secret, close: async () => {} };
  return await assemble(options, environment, report, stores, options.tiles);
}

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
    const engine =
      options.config === undefined ? undefined : engineOf(await loadConfiguration(options.config));
    const owner = `${hostname()}:${process.pid}`;
    const spool: SpoolChunks = (chunks, limit, subject) => spools.spool(chunks, limit, subject);
    const chosen = await chooseSources(options, environment, engine, tiles, stores.secret);
    const sources = openSources({
      ...chosen,
      netrc: await environment.netrc(),
      probe: "at once",
      spool,
      timing: { whole: LONGEST_REPLY },
      tree,
      vault,
      ledger,
      report,
      owner,
    });
    const queue = new MemoryQueue();
    const { databasesFor, databases } = sources;
    const seed =
      options.seed === undefined
        ? undefined
        : new SeededUpstream(
            sources.upstream,
            openUpstream(pathToFileURL(options.seed).href, { spool }),
            { databasesFor, zips: zipChecker },
            ({ subject, error }) => report({ event: "seed-refused", subject, message: error.message }),
          );
    const policy = engine && enginePolicy(engine);
    const parts = {
      tree,
      vault,
      ledger,
      queue: tracedQueue(stores.queue ?? queue),
      upstream: seed ?? sources.upstream,
      zips: zipChecker,
      databasesFor,
      now: Date.now,
      report,
      ...(policy && { policy, vulnerabilities: new MirroredVulnerabilities(tree, Date.now) }),
    };
    const http = { egress: chosen.egress, timing: { whole: LONGEST_REPLY } };
    const feeds = engine && engineFeeds(engine, http, { ledger, now: Date.now, report, probe: "at once" });
    const vulndb = options.vulndb ?? engine?.vulndb?.url;
    const close = async () => {
      await sources.close();
      await stores.close();
    };
    const snapshots = { settings: engine?.snapshots, spool };
    const garbage = engine && garbageSettings(engine.garbage, engine.snapshots?.keep);
    const { egress } = chosen;
    return { parts, queue, databases, owner, feeds, vulndb, snapshots, garbage, egress, seed, close };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

/** Where the files come from: as the configuration says, or the flags, or the user's own go. */
async function chooseSources(
  options: Options,
  environment: CliEnvironment,
  engine: EngineConfiguration | undefined,
  tiles: TileExtent,
  secret: Stores["secret"],
): Promise<EngineSources> {
  if (engine === undefined)
    return {
      url: await chooseUpstream(options, environment),
      sumdbs: options.sumdbs,
      noSumdb: options.noSumdb ?? (await environment.gonosumdb()),
      egress: environment.egress(),
      tiles,
    };
  // First: what the configuration trusts comes besides.
  const own = environment.egress();
  const { egress, ...sources } = engineSources(engine, {
    variables: environment.variables,
    ...(secret && { secret }),
  });
  return { ...sources, egress: engine.egress.proxy === undefined ? own : egress };
}
