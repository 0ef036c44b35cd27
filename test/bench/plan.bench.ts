import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import { zipChecker } from "../../adapters/local/zip-checker.ts";
import { HttpModuleIndex } from "../../adapters/upstream/module-index.ts";
import { type IndexStamp, stampOf } from "../../gomod/index-stamp.ts";
import { moduleVersion } from "../../gomod/version.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import type { Ledger } from "../../mirror/ports.ts";
import { want } from "../../mirror/records.ts";
import { Subscriptions, subscriptions } from "../../mirror/subscription.ts";
import { tick } from "../../mirror/tick.ts";
import { type IndexLine, startIndex } from "../upstream/loopback-index.ts";

/** Versions of a day of the public index, and versions that a large mirror has recorded. */
const DAY = 70_000;
const RECORDED = 1_000_000;
const now = Date.now();

/**
 * What a tick of the index feed costs in an embedded mirror (folder and SQLite, with their fsyncs), over a loopback index:
 * a day of the public index planned, and an idle tick beside a thousand and a million recorded versions. A line each.
 */
export async function planBench(count = DAY, recorded = RECORDED): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "modferry-plan-"));
  try {
    for (const [follow, versions] of PLANS) await dayOfTheIndex(folder, count, follow, versions);
    for (const size of [1_000, recorded]) await idleTick(folder, size);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const PLANS = [
  ["tidy", "all"],
  ["none", "all"],
  ["tidy", "latest"],
] as const;

async function dayOfTheIndex(folder: string, count: number, follow: string, versions: string): Promise<void> {
  const index = await startIndex(day(count));
  const mirror = await openFolderMirror(join(folder, `day-${follow}-${versions}`), { mode: "write" });
  const counted = counting(mirror.ledger);
  const source = new HttpModuleIndex(index.url);
  const startedAt = performance.now();
  const before = process.cpuUsage();
  const ticked = await tick(
    partsOf(mirror, counted.ledger),
    {
      subscriptions: new Subscriptions(subscriptions.parse([{ modules: ["*"], versions, follow }])),
      indexes: [{ name: "index", index: source, from: index.lines[0]?.Timestamp as IndexStamp }],
    },
    "bench",
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = process.cpuUsage(before);
  if (ticked.outcome !== "ticked") throw new Error(ticked.outcome);
  print({
    bench: "plan a day",
    follow,
    versions,
    found: ticked.indexes[0]?.found,
    pages: index.asked.length,
    problem: ticked.indexes[0]?.problem?.message,
    seconds: round(seconds),
    cpuSeconds: round((cpu.user + cpu.system) / 1e6),
    versionsPerSecond: Math.round(count / seconds),
    ledgerCalls: counted.calls(),
    rssMiB: Math.round(process.memoryUsage.rss() / 2 ** 20),
  });
  await source.close();
  await index.close();
  await mirror.close();
}

async function idleTick(folder: string, recorded: number): Promise<void> {
  const mirror = await openFolderMirror(join(folder, `idle-${recorded}`), { mode: "write" });
  for (let at = 0; at < recorded; at += 10_000) {
    const records = Array.from({ length: Math.min(10_000, recorded - at) }, (_, i) => {
      const version = moduleVersion(
        `example.com/m${(at + i) % 50_000}`,
        `v1.${Math.floor((at + i) / 50_000)}.0`,
      );
      const { due: _due, ...record } = want(undefined, version, "whole", "index feed", now, true);
      return { record: { ...record, state: "READY", held: "whole", listed: true } as const };
    });
    await mirror.ledger.write(records);
  }
  const index = await startIndex(day(1_200, Date.now() - 29 * 60_000));
  const source = new HttpModuleIndex(index.url);
  const counted = counting(mirror.ledger);
  const settings = {
    subscriptions: new Subscriptions(
      subscriptions.parse([{ modules: ["*"], versions: "all", follow: "none" }]),
    ),
    indexes: [{ name: "index", index: source }],
  };
  const parts = partsOf(mirror, counted.ledger);
  await tick(parts, settings, "bench");
  const [calls, asked, startedAt] = [counted.calls(), index.asked.length, performance.now()];
  const ticked = await tick(parts, settings, "bench");
  print({
    bench: "idle tick",
    recorded,
    outcome: ticked.outcome,
    upstreamCalls: index.asked.length - asked,
    ledgerCalls: counted.calls() - calls,
    milliseconds: round(performance.now() - startedAt),
  });
  await source.close();
  await index.close();
  await mirror.close();
}

/** Versions of some 30,000 modules over a day, three of four releases. */
function day(count: number, begin = now - 86_400_000): IndexLine[] {
  const step = Math.floor((86_000_000 / 70_000) * 1000);
  return Array.from({ length: count }, (_, i) => {
    const micros = Math.floor((i * step) % 1000);
    const stamp = stampOf(begin + Math.floor((i * step) / 1000)).replace(
      "Z",
      `${String(micros).padStart(3, "0")}Z`,
    );
    return {
      Path: `example.com/org${i % 300}/module${(i * 7919) % 30_000}`,
      Version: i % 4 === 0 ? `v1.${i}.0-rc.1` : `v1.${i}.0`,
      Timestamp: stamp,
    };
  });
}

function counting(ledger: Ledger): { readonly ledger: Ledger; calls(): number } {
  let calls = 0;
  const counted = new Proxy(ledger, {
    get: (target, method) => {
      const value: unknown = Reflect.get(target, method);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        calls++;
        return Reflect.apply(value, target, args);
      };
    },
  });
  return { ledger: counted, calls: () => calls };
}

function partsOf(mirror: Awaited<ReturnType<typeof openFolderMirror>>, ledger: Ledger): MirrorParts {
  const { tree, vault } = mirror;
  return {
    tree,
    vault,
    ledger,
    queue: { send: async () => {} },
    upstream: undefined as unknown as MirrorParts["upstream"],
    zips: zipChecker,
    databasesFor: () => [],
    now: Date.now,
    report: () => {},
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
