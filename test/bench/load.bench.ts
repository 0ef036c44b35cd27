/**
 * What the engine does with an index of many versions: read from its beginning, subscribed to all at tier tidy, into an
 * empty mirror, every version proven, stored, fsynced and listed. The upstream is a process of its own
 * (test/oracle/upstream, `-generate`): zips of about 24 kB, five versions of each module, which requires up to seven
 * others, and a checksum database of them all. Embedded: `modferry sync --config` as it is built. Deployed: the functions
 * as they are bundled, over the emulator's stores. At the end of each: whether all of it is there.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import type { ConfigurationInput } from "../../infra/configuration.ts";
import { type LoopbackUpstream, startUpstream } from "../upstream/loopback-upstream.ts";
import { requireComplete, requireUsable } from "./load-complete.ts";
import type { Counted, Counts } from "./load-counted.ts";
import { deployedLoad } from "./load-deployed.ts";
import { measureProcess } from "./measured-process.ts";

const EMBEDDED = Number(process.env.MODFERRY_LOAD ?? 100_000);
const COUNTED = Math.min(EMBEDDED, 2_000);
const DEPLOYED = Number(process.env.MODFERRY_LOAD_DEPLOYED ?? 1_000);
/** Up to so many versions `modferry verify` reads all that is there; beyond, go downloads a sample, as it does always. */
const VERIFIED_WHOLE = 10_000;
/** Versions a second that an embedded mirror is to reach on two cores. */
const GOAL = 400;
/** Another build than dist/'s, for comparisons. */
const PROGRAM = process.env.MODFERRY_PROGRAM ?? join(import.meta.dirname, "../../dist/modferry.mjs");
/** The made-up index begins after it. */
const FROM = "2024-01-01T00:00:00Z";

/** Prints a table. Needs `npm run build` first: what is measured is what users run. */
export async function loadBench(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "modferry-load-"));
  try {
    if (EMBEDDED > 0) {
      await withUpstream(COUNTED, (upstream) => countedLoad(join(folder, "counted"), upstream));
      await withUpstream(EMBEDDED, (upstream) => embeddedLoad(join(folder, "embedded"), upstream));
    }
    if (DEPLOYED > 0)
      await withUpstream(DEPLOYED, async (upstream) => {
        const load = { versions: DEPLOYED, lastStamp: await lastStampOf(upstream) };
        print(
          `functions, ${DEPLOYED} versions`,
          await deployedLoad(folder, engineOf(upstream), upstream, load),
        );
        print("requests of the upstream a version", perVersion((await upstream.counts()).kinds, DEPLOYED));
      });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function countedLoad(folder: string, upstream: LoopbackUpstream): Promise<void> {
  const config = await configurationFile(folder, upstream);
  const program = join(import.meta.dirname, "load-counted.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [program, config, folder]);
  const { problems, ledger, disk } = JSON.parse(stdout) as Counted;
  if (problems > 0) throw new Error(`counted load: ${problems} problems`);
  print(`embedded, counted apart, ${COUNTED} versions`, {});
  print("ledger calls a version", perVersion(ledger, COUNTED));
  print("fsyncs a version", perVersion(disk, COUNTED));
  print("requests of the upstream a version", perVersion((await upstream.counts()).kinds, COUNTED));
}

async function embeddedLoad(folder: string, upstream: LoopbackUpstream): Promise<void> {
  const config = await configurationFile(folder, upstream);
  const mirror = ["--mirror", folder];
  const env = process.env;
  const before = loadavg()[0] ?? Number.NaN;
  const sync = [process.execPath, PROGRAM, "sync", "--config", config, ...mirror, "--once"];
  const { wallSeconds, cpuSeconds, peakMiB } = await measureProcess(sync, { env });
  const after = loadavg()[0] ?? Number.NaN;
  const { kinds } = await upstream.counts();
  print(`embedded, ${EMBEDDED} versions`, {
    "versions a second": EMBEDDED / wallSeconds,
    goal: GOAL,
    "wall s": wallSeconds,
    "CPU s": cpuSeconds,
    "CPU ms a version": (cpuSeconds / EMBEDDED) * 1_000,
    "peak MiB": peakMiB,
    "load before": before,
    "load after": after,
  });
  print("requests of the upstream a version", perVersion(kinds, EMBEDDED));
  const stores = await openFolderMirror(folder, { mode: "read" });
  const listed = await requireComplete(stores, EMBEDDED, await lastStampOf(upstream)).finally(() =>
    stores.close(),
  );
  const proven = await requireUsable(join(folder, "tree"), listed, upstream.vkey);
  print("complete", { listed: listed.length, "downloaded by go": proven });
  if (EMBEDDED > VERIFIED_WHOLE) return;
  const verify = [process.execPath, PROGRAM, "verify", ...mirror, "--sumdb", upstream.vkey];
  print("modferry verify, no findings", { "wall s": (await measureProcess(verify, { env })).wallSeconds });
}

async function withUpstream(
  generate: number,
  run: (upstream: LoopbackUpstream) => Promise<void>,
): Promise<void> {
  const upstream = await startUpstream({ trees: [], generate });
  try {
    await run(upstream);
  } finally {
    await upstream.close();
  }
}

/** What both worlds are told to mirror. */
function engineOf({ url, vkey }: LoopbackUpstream): Omit<ConfigurationInput, "name"> {
  return {
    upstreams: [{ name: "made", url }],
    sumdb: [{ key: vkey }],
    subscriptions: [{ modules: ["*"], versions: "all", follow: "tidy" }],
    feeds: { indexes: [{ url, from: FROM }] },
  };
}

async function configurationFile(folder: string, upstream: LoopbackUpstream): Promise<string> {
  const file = `${folder}.json`;
  await writeFile(file, JSON.stringify({ name: "load", ...engineOf(upstream) }));
  return file;
}

/** The index's own. */
async function lastStampOf({ url }: LoopbackUpstream): Promise<string> {
  let last = FROM;
  for (;;) {
    const page = await (await fetch(`${url}/index?since=${last}`)).text();
    const line = page.trimEnd().split("\n").at(-1) ?? "";
    const { Timestamp } = JSON.parse(line) as { readonly Timestamp: string };
    if (Timestamp === last) return last;
    last = Timestamp;
  }
}

function perVersion(counts: Readonly<Partial<Counts>>, versions: number): Counts {
  const entries = Object.entries(counts).toSorted(([, a = 0], [, b = 0]) => b - a);
  return Object.fromEntries(entries.map(([name, count = 0]) => [name, count / versions]));
}

function print(what: string, figures: Counts): void {
  console.log(what);
  for (const [name, figure] of Object.entries(figures))
    console.log(`  ${name.padEnd(28)} ${figure >= 100 ? figure.toFixed(0) : figure.toFixed(3)}`);
}
