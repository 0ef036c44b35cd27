import { createHash } from "node:crypto";
import type { FaultHook } from "../../../adapters/local/fault.ts";
import { MemoryLedger } from "../../../adapters/local/memory-ledger.ts";
import { MemoryTree } from "../../../adapters/local/memory-tree.ts";
import { MemoryVault } from "../../../adapters/local/memory-vault.ts";
import type { H1 } from "../../../gomod/dirhash.ts";
import { type ModuleVersion, moduleVersion } from "../../../gomod/version.ts";
import { type Sha256, sha256Of } from "../../../mirror/body.ts";
import type { JournalEvent } from "../../../mirror/ledger-entries.ts";
import type { State, VersionRecord } from "../../../mirror/records.ts";
import { openSnapshot } from "../../../mirror/snapshot/open-snapshot.ts";
import type { Snapshot } from "../../../mirror/snapshot/snapshot.ts";
import type { SnapshotEntry } from "../../../mirror/snapshot/snapshot-entry.ts";
import type { SnapshotName } from "../../../mirror/snapshot/snapshot-name.ts";
import type { SpoolBody } from "../../../mirror/snapshot/spooled-runs.ts";
import { type Taken, type TakeOptions, takeSnapshot } from "../../../mirror/snapshot/take.ts";

export const START = Date.UTC(2026, 10, 23, 9, 30);

/** Bodies in memory, as a spool gives small ones. */
export const memorySpool: SpoolBody = async (chunks) => {
  const collected: Uint8Array[] = [];
  for await (const chunk of chunks) collected.push(chunk);
  return Buffer.concat(collected);
};

export const shaOf = (text: string): Sha256 => sha256Of(Buffer.from(text));
export const h1Of = (text: string): H1 => `h1:${createHash("sha256").update(text).digest("base64")}` as H1;

/** A record of which everything is held and listed; the bytes follow from the name and the `salt`. */
export function wholeRecord(version: ModuleVersion, salt = ""): VersionRecord {
  const name = `${version.path}@${version.version}${salt}`;
  return {
    path: version.path,
    version: version.version,
    revision: 0,
    state: "READY",
    wanted: "whole",
    held: "whole",
    wantedAt: START,
    firstSeen: START,
    wish: "test",
    listed: true,
    modH1: h1Of(`mod ${name}`),
    zipH1: h1Of(`zip ${name}`),
    modSha256: shaOf(`mod ${name}`),
    zipSha256: shaOf(`zip ${name}`),
    infoSha256: shaOf(`info ${name}`),
    modSize: name.length,
    zipSize: 1000 + name.length,
    time: "2024-01-02T03:04:05Z",
    sumdbRecords: { "sum.example.com": name.length },
    attempts: 0,
  };
}

/** A mirror's stores without its engine: records are written as the engine would. */
export class SnapshotWorld {
  readonly tree = new MemoryTree();
  readonly vault: MemoryVault;
  readonly ledger: MemoryLedger;
  now = START;

  constructor(fault?: FaultHook) {
    this.vault = new MemoryVault(fault);
    this.ledger = new MemoryLedger(fault);
  }

  get parts() {
    const { tree, vault, ledger } = this;
    return { tree, vault, ledger, now: () => this.now, spool: memorySpool };
  }

  async write(record: VersionRecord, event: JournalEvent | undefined, at = this.now): Promise<void> {
    const [stored] = await this.ledger.read([record]);
    const version = { path: record.path, version: record.version };
    const change = { record: { ...record, revision: stored?.revision ?? 0 } };
    const [written] = await this.ledger.write([
      event === undefined ? change : { ...change, journal: { event, version, at } },
    ]);
    if (written === undefined || written === "changed") throw new Error("another writer was first");
  }

  /** Holds and lists `module@version` of these. */
  async hold(...names: readonly string[]): Promise<void> {
    for (const name of names) {
      const [path = "", version = ""] = name.split("@");
      const record = wholeRecord(moduleVersion(path, version));
      await this.write({ ...record, listed: false }, "held");
      await this.write(record, "listed");
    }
  }

  take(options: Partial<TakeOptions> = {}): Promise<Taken> {
    return takeSnapshot(this.parts, { owner: "test", closedAfter: 0, ...options });
  }

  /** Takes one, which must be new. */
  async taken(options: Partial<TakeOptions> = {}): Promise<Snapshot> {
    const taken = await this.take(options);
    if (taken.outcome !== "taken") throw new Error(`nothing taken: ${taken.outcome}`);
    return await this.open(taken.header.name);
  }

  async open(name: SnapshotName): Promise<Snapshot> {
    const snapshot = await openSnapshot(this.vault, name);
    if (snapshot === undefined) throw new Error(`no snapshot ${name}`);
    return snapshot;
  }

  async keys(prefix = "snapshots/"): Promise<string[]> {
    const keys: string[] = [];
    for await (const key of this.vault.keys(prefix)) keys.push(key);
    return keys;
  }

  /**
   * What a snapshot of now must have, by the sentences of its format: the oracle of the histories, written apart from
   * the engine's own.
   */
  async expected(): Promise<SnapshotEntry[]> {
    const out: State[] = ["CONFLICT", "REMOVING", "REMOVED"];
    const kept: State[] = ["BLOCKED", "DENIED", "HELD"];
    const entries: SnapshotEntry[] = [];
    for await (const record of this.ledger.records()) {
      const { path, version, held, state, modH1, modSha256, modSize, zipH1, zipSha256, zipSize } = record;
      if (held === "nothing" || out.includes(state)) continue;
      const whole = held === "whole" && !kept.includes(state);
      const { infoSha256, time, sumdbRecords, listed } = record;
      entries.push({
        ...{
          path,
          version,
          held: whole ? "whole" : "mod",
          listed: whole && listed,
          modH1,
          modSha256,
          modSize,
        },
        ...(whole ? { zipH1, zipSha256, zipSize } : {}),
        ...(infoSha256 && { infoSha256 }),
        ...(time !== undefined && { time }),
        ...(sumdbRecords && { sumdb: sumdbRecords }),
      } as SnapshotEntry);
    }
    const bytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    return entries.sort((a, b) => bytes(a.path, b.path) || bytes(a.version, b.version));
  }
}

export async function entriesOf(snapshot: Snapshot): Promise<SnapshotEntry[]> {
  const entries: SnapshotEntry[] = [];
  for await (const entry of snapshot.entries()) entries.push(entry);
  return entries;
}

export const namesOf = (entries: readonly SnapshotEntry[]): string[] =>
  entries.map(({ path, version }) => `${path}@${version}`);
