/**
 * A deep scrub of corpora/medium.txt in a folder mirror, on one and two threads; and a quick scrub of made mirrors of ten
 * thousand to a million versions, whose tree is a listing alone, so that what is measured is the merge and its memory.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../adapters/local/memory-vault.ts";
import { ScratchFolder } from "../../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../../adapters/local/spool-folder.ts";
import { ZipThreads } from "../../adapters/local/zip-threads.ts";
import { countedCalls } from "../../cli/counted-calls.ts";
import { keepHeapSmall } from "../../cli/small-heap.ts";
import { type H1, h1OfGoMod } from "../../gomod/dirhash.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import { sha256Of } from "../../mirror/body.ts";
import type { Ledger, Tree } from "../../mirror/ports.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { type ScrubResult, scrub } from "../../mirror/scrub/scrub.ts";
import { WHOLE } from "../../mirror/scrub/tree-order.ts";
import { SpooledRuns } from "../../mirror/snapshot/spooled-runs.ts";
import { infoKey, latestKey, listKey, modKey, zipKey } from "../../mirror/tree-keys.ts";
import { downloadModules } from "../gomod/zip-oracle.ts";

const corpora = process.env.MODFERRY_CORPORA ?? join(import.meta.dirname, "../../../shared/corpora");
const ROUNDS = 3;

/** Seconds; CPU time is that of all threads, and hardly moved by what else the machine does. */
interface Spent {
  readonly wall: number;
  readonly cpu: number;
}

export async function scrubBench(sizes: readonly number[] = [10_000, 100_000, 1_000_000]): Promise<void> {
  // A process each, with the heap of `modferry scrub`, so that its largest resident size is its own.
  for (const size of sizes)
    execFileSync(process.execPath, [import.meta.filename, String(size)], { stdio: "inherit" });
  await deepBench();
}

async function deepBench(): Promise<void> {
  const list = join(corpora, "medium.txt");
  if (!existsSync(list)) throw new Error(`${list} lacks: set MODFERRY_CORPORA to the folder with medium.txt`);
  const folder = mkdtempSync(join(tmpdir(), "modferry-scrub-"));
  const mirror = await openFolderMirror(join(folder, "m"), { mode: "write" });
  try {
    let zips = 0;
    for (const module of downloadModules(readFileSync(list, "utf8").trim().split(/\s+/))) {
      const version = moduleVersion(module.Path, module.Version);
      const zip = readFileSync(module.Zip);
      const mod = readFileSync(module.Zip.replace(/zip$/, "mod"));
      const info = Buffer.from(JSON.stringify({ Version: module.Version }));
      const [modSha256, zipSha256, infoSha256] = [sha256Of(mod), sha256Of(zip), sha256Of(info)];
      await mirror.tree.create(modKey(version), mod, modSha256);
      await mirror.tree.create(zipKey(version), zip, zipSha256);
      await mirror.tree.create(infoKey(version), info, infoSha256);
      zips += statSync(module.Zip).size;
      const hashes = { modH1: h1OfGoMod(mod), zipH1: module.Sum as H1, modSha256, zipSha256, infoSha256 };
      await mirror.ledger.write([{ record: { ...recordOf(version), ...hashes } }]);
    }
    for (const threads of [1, 2]) {
      const pool = new ZipThreads(threads);
      const rounds: Spent[] = [];
      for (let round = 0; round < ROUNDS; round++) rounds.push(await deepOnce(mirror, pool));
      await pool.close();
      const megabytes = zips / 1e6;
      const best = (of: keyof Spent) => megabytes / Math.min(...rounds.map((spent) => spent[of]));
      console.log(
        `deep scrub, ${threads} threads: ${megabytes.toFixed(1)} MB of zips, best of ${ROUNDS}: ${best("wall").toFixed(0)} MB/s; ` +
          `${best("cpu").toFixed(0)} MB for each second of CPU time`,
      );
    }
  } finally {
    await mirror.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function deepOnce(
  mirror: Pick<Awaited<ReturnType<typeof openFolderMirror>>, "tree" | "ledger" | "vault">,
  zips: ZipThreads,
): Promise<Spent> {
  const scratch = new ScratchFolder();
  const runs = runsIn(scratch);
  const began = performance.now();
  const before = process.cpuUsage();
  const { tree, ledger, vault } = mirror;
  const none = () => {};
  const { counts } = await scrub(
    {
      tree,
      ledger,
      vault,
      zips,
      verifiers: [],
      runs,
      now: Date.now,
      owner: "bench",
      report: none,
      progress: none,
    },
    "deep",
    WHOLE,
  ).then(whole);
  if (counts.findings !== 0) throw new Error(`${counts.findings} findings in an undamaged mirror`);
  const { user, system } = process.cpuUsage(before);
  await runs.dispose();
  scratch.remove();
  return { wall: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 };
}

function runsIn(scratch: ScratchFolder): SpooledRuns {
  const spools = new SpoolFolder(scratch.path);
  return new SpooledRuns((chunks, limit, subject) => spools.spool(chunks, limit, subject));
}

function recordOf(version: Pick<VersionRecord, "path" | "version">): VersionRecord {
  const { path, version: named } = version;
  const times = { wantedAt: 1, firstSeen: 1, attempts: 0, wish: "bench" };
  return {
    path,
    version: named,
    revision: 0,
    state: "READY",
    wanted: "whole",
    held: "whole",
    listed: true,
    ...times,
  };
}

/** Versions of each module: as the public index has them, about. */
const VERSIONS_EACH = 10;

async function quickBench(size: number): Promise<void> {
  const made = new MadeListing(size);
  const inner = { tree: over(new MemoryTree(), made), ledger: over(new MemoryLedger(), made) };
  const { tree, ledger, calls } = countedCalls(inner.tree as Tree, inner.ledger as Ledger);
  const scratch = new ScratchFolder();
  const runs = runsIn(scratch);
  const began = performance.now();
  const zips = { threads: 1, hash: () => Promise.reject(new Error("nothing is read")) };
  const { counts } = await scrub(
    {
      tree,
      ledger,
      vault: new MemoryVault(),
      zips,
      verifiers: [],
      runs,
      now: Date.now,
      owner: "bench",
      report: console.log,
      progress: () => {},
    },
    "quick",
    WHOLE,
  ).then(whole);
  const seconds = (performance.now() - began) / 1000;
  await runs.dispose();
  scratch.remove();
  if (counts.findings !== 0 || counts.versions !== size) throw new Error(JSON.stringify(counts));
  const perMillion = Object.entries(calls).map(
    ([name, count]) => `${name} ${Math.round((count * 1e6) / size)}`,
  );
  console.log(
    `quick scrub, ${size} versions: ${seconds.toFixed(1)} s, peak ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB; calls per million: ${perMillion.join(", ")}`,
  );
}

/** What a mirror of so many versions lists and records; nothing of it is kept in memory. */
class MadeListing {
  readonly #modules: number;
  readonly #info = Buffer.from("{}");

  constructor(size: number) {
    this.#modules = size / VERSIONS_EACH;
  }

  /** In the ledger's order, which is not the tree's: by a hash, as DynamoDB scans partitions. */
  async *records(): AsyncGenerator<VersionRecord> {
    for (let n = 0; n < this.#modules; n++) {
      const path = this.#path((n * 7_919) % this.#modules);
      for (let v = 0; v < VERSIONS_EACH; v++)
        yield {
          ...recordOf({ path, version: `v1.${v}.0` as VersionRecord["version"] }),
          modSize: 100,
          zipSize: 1000,
          infoSha256: sha256Of(this.#info),
        };
    }
  }

  async *keys(after = ""): AsyncGenerator<{ key: string; size: number }> {
    for (let n = 0; n < this.#modules; n++) {
      const path = this.#path(n);
      const entries = [
        { key: latestKey(path), size: 2 },
        { key: listKey(path), size: 70 },
      ];
      for (let v = 0; v < VERSIONS_EACH; v++) {
        const version = { path, version: `v1.${v}.0` as VersionRecord["version"] };
        entries.push(
          { key: infoKey(version), size: 2 },
          { key: modKey(version), size: 100 },
          { key: zipKey(version), size: 1000 },
        );
      }
      for (const entry of entries) if (entry.key > after) yield entry;
    }
  }

  get = async (key: string) => {
    if (key.endsWith("@latest")) return { bytes: this.#info, etag: "e" };
    if (key.endsWith("/list"))
      return {
        bytes: Buffer.from(Array.from({ length: VERSIONS_EACH }, (_, v) => `v1.${v}.0\n`).join("")),
        etag: "e",
      };
    return undefined;
  };

  #path(n: number) {
    return modulePath(`github.com/owner${String(n).padStart(7, "0")}/some-module`);
  }
}

function over(inner: object, made: object): object {
  return new Proxy(inner, {
    get: (target, name) => {
      const holder = Reflect.has(made, name) && name !== "constructor" ? made : target;
      const value = Reflect.get(holder, name);
      return typeof value === "function" ? value.bind(holder) : value;
    },
  });
}

function whole(result: ScrubResult | undefined): ScrubResult {
  if (result === undefined) throw new Error("another scrub is at work");
  return result;
}

if (process.argv[1] === import.meta.filename) {
  const size = Number(process.argv[2] ?? 0);
  if (size === 0) await scrubBench();
  else {
    keepHeapSmall();
    await quickBench(size);
  }
}
