import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printRecord } from "../../adapters/aws/record-item.ts";
import { openFolderMirror } from "../../adapters/local/folder-mirror.ts";
import type { H1 } from "../../gomod/dirhash.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { moduleVersion } from "../../gomod/version.ts";
import type { Sha256 } from "../../mirror/body.ts";
import type { RecordChange } from "../../mirror/ledger-entries.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { newestSnapshot } from "../../mirror/snapshot/catalog.ts";
import { openSnapshot } from "../../mirror/snapshot/open-snapshot.ts";
import { snapshotKey } from "../../mirror/snapshot/snapshot-name.ts";
import { dynamoDbSize, PAGE_BYTES } from "./dynamodb-size.ts";
import { measureProcess } from "./measured-process.ts";

const PROGRAM = join(import.meta.dirname, "../../dist/modferry.mjs");
const VERSIONS = 1_000_000;
/** Of each module: as the public index has them, about. */
const VERSIONS_EACH = 10;
const CHANGED = [1_000, 100_000];
const LOOKUPS = 2_000;

/**
 * `modferry snapshot take` of an embedded mirror of a million versions whose hashes are random, as hashes are: the first
 * of all records, one where nothing has changed, and ones merged with what has; a process each, with its largest resident
 * size. Then how long one module's entries take, and what the same reads cost in DynamoDB, computed from the items.
 */
export async function snapshotBench(count = VERSIONS): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "modferry-snapshot-"));
  const mirror = join(folder, "m");
  try {
    const itemBytes = await plant(mirror, count);
    await take(mirror, "first, of all records", count);
    await take(mirror, "nothing changed", count);
    for (const changed of CHANGED.filter((some) => some < count)) {
      await change(mirror, changed);
      await take(mirror, `${changed} changed`, count);
    }
    await take(mirror, "--full, of all records", count, ["--full"]);
    await lookups(mirror, count);
    const pages = Math.ceil((itemBytes * count) / PAGE_BYTES);
    print({
      bench: "snapshot in DynamoDB, computed",
      versions: count,
      itemBytes: Math.round(itemBytes),
      "first: scan pages": pages,
      "first: read units": Math.ceil((itemBytes * count) / 4096),
      "daily: journal queries": 24 * 4 + 4,
      "daily, 1,000 changed: BatchGetItem calls": 10,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function plant(folder: string, count: number): Promise<number> {
  const mirror = await openFolderMirror(folder, { mode: "write" });
  let bytes = 0;
  for (let at = 0; at < count; at += 10_000) {
    const changes: RecordChange[] = [];
    for (let n = at; n < Math.min(count, at + 10_000); n++) changes.push({ record: recordOf(n) });
    if (at === 0)
      for (const { record } of changes) bytes += dynamoDbSize(printRecord({ ...record, revision: 1 }));
    await mirror.ledger.write(changes);
  }
  await mirror.close();
  return bytes / Math.min(count, 10_000);
}

/** As fetching a new version does: every so manieth gets one more. */
async function change(folder: string, count: number): Promise<void> {
  const mirror = await openFolderMirror(folder, { mode: "write" });
  const at = Date.now();
  for (let from = 0; from < count; from += 10_000) {
    const changes = Array.from({ length: Math.min(10_000, count - from) }, (_, n) => {
      const record = recordOf((from + n) * VERSIONS_EACH, `v2.${count}.0`);
      const version = { path: record.path, version: record.version };
      return { record, journal: { event: "listed", version, at } } as const;
    });
    await mirror.ledger.write(changes);
  }
  await mirror.close();
}

async function take(
  mirror: string,
  bench: string,
  versions: number,
  flags: readonly string[] = [],
): Promise<void> {
  const command = [process.execPath, PROGRAM, "snapshot", "take", ...flags, "--mirror", mirror];
  const measured = await measureProcess(command, { env: process.env });
  const opened = await openFolderMirror(mirror, { mode: "read" });
  const name = await newestSnapshot(opened);
  await opened.close();
  const entries = name && join(mirror, "vault", snapshotKey(name, "entries.zst"));
  print({
    bench: `snapshot: ${bench}`,
    versions,
    seconds: round(measured.wallSeconds),
    cpuSeconds: round(measured.cpuSeconds),
    peakMiB: Math.round(measured.peakMiB),
    entriesMB: entries && Math.round(statSync(entries).size / 1e6),
  });
}

async function lookups(folder: string, count: number): Promise<void> {
  const mirror = await openFolderMirror(folder, { mode: "read" });
  const name = await newestSnapshot(mirror);
  const snapshot = name && (await openSnapshot(mirror.vault, name));
  if (snapshot === undefined) throw new Error("no snapshot");
  const began = performance.now();
  for (let at = 0; at < LOOKUPS; at++) {
    const path = pathOf(Math.floor((at * 7919 * VERSIONS_EACH) % count));
    if ((await snapshot.module(path)).length < VERSIONS_EACH) throw new Error(path);
  }
  const milliseconds = (performance.now() - began) / LOOKUPS;
  await snapshot.close();
  await mirror.close();
  print({ bench: "snapshot: one module's entries", versions: count, milliseconds: round(milliseconds) });
}

const pathOf = (n: number) =>
  modulePath(`example.com/owner-${n % 9973}/module-${Math.floor(n / VERSIONS_EACH)}`);

function recordOf(n: number, version = `v1.${n % VERSIONS_EACH}.0`): VersionRecord {
  // Of all versions of a module one path.
  const path = pathOf(n - (n % VERSIONS_EACH));
  const hex = (what: string) =>
    createHash("sha256").update(`${what} ${n} ${version}`).digest("hex") as Sha256;
  const h1 = (what: string) =>
    `h1:${createHash("sha256").update(`${what} ${n} ${version}`).digest("base64")}` as H1;
  return {
    ...moduleVersion(path, version.startsWith("v2") ? version.replace("v2.", "v1.1") : version),
    revision: 0,
    state: "READY",
    wanted: "whole",
    held: "whole",
    wantedAt: 1_700_000_000_000,
    firstSeen: 1_700_000_000_000,
    wish: "index feed",
    feed: "index",
    feedTime: "2024-01-02T03:04:05.678901Z",
    listed: true,
    modH1: h1("mod"),
    zipH1: h1("zip"),
    modSha256: hex("mod file"),
    zipSha256: hex("zip file"),
    infoSha256: hex("info file"),
    modSize: 300 + (n % 1_000),
    zipSize: 10_000 + ((n * 7919) % 1_000_000),
    time: "2024-01-02T03:04:05Z",
    sumdbRecords: { "sum.example.com": n },
    attempts: 0,
  };
}

function print(line: Readonly<Record<string, unknown>>): void {
  console.log(JSON.stringify(line));
}

const round = (value: number): number => Math.round(value * 100) / 100;
