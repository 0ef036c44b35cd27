import type { Verifier } from "../../sumdb/note.ts";
import { OfflineClient } from "../../sumdb/offline-client.ts";
import { FULL_TILE_SIZE } from "../../sumdb/tile.ts";
import { type Deadline, noDeadline } from "../deadline.ts";
import type { Clock, Ledger, Tree, Vault } from "../ports.ts";
import { LARGEST_LOOKUP } from "../stored-lookup.ts";
import { underLease } from "../tick-lease.ts";
import { lookupKey, tileKey } from "../tree-keys.ts";
import { contentScrub } from "./content.ts";
import type { ZipHasher } from "./content-check.ts";
import type { ScrubFinding, SettledFinding } from "./finding.ts";
import { type ScrubCounts, ScrubProgress } from "./progress.ts";
import { quickScrub } from "./quick.ts";
import { ScrubWork, type Unfinished } from "./scrub-work.ts";
import type { LineRuns } from "./sorted-lines.ts";
import { checkDatabase } from "./tile-check.ts";
import { type Shard, sliceOf } from "./tree-order.ts";

/**
 * `quick`: names, sizes, lists, heads and tiles, by a listing. `stored`: SHA-256 as the store has it, of a thirtieth a
 * day. `deep`: everything is read, and proven anew.
 */
export const SCRUB_LEVELS = ["quick", "stored", "deep"] as const;
export type ScrubLevel = (typeof SCRUB_LEVELS)[number];

export interface ScrubParts {
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly vault: Vault;
  readonly zips: ZipHasher;
  readonly verifiers: readonly Verifier[];
  readonly runs: LineRuns;
  readonly now: Clock;
  /** Names this process in leases. */
  readonly owner: string;
  readonly deadline?: Deadline;
  /** Has findings mended; absent: nobody does, and each says what would. */
  readonly mend?: (findings: readonly ScrubFinding[]) => Promise<readonly SettledFinding[]>;
  /** Told of each finding once it is settled; also of those of earlier processes of the same run. */
  readonly report: (finding: SettledFinding) => void;
  readonly progress: (counts: ScrubCounts) => void;
}

export interface ScrubResult {
  readonly run: string;
  /** False where time ended it: the next one goes on. */
  readonly finished: boolean;
  readonly counts: ScrubCounts;
}

/**
 * Looks whether tree and ledger agree, and has mended what does not. A run goes on where an earlier process of it was
 * stopped, be it by a crash; its findings are told all the same. Memory is bounded, whatever the mirror holds.
 * @returns undefined where another process is at this level and shard; one that was killed counts for TICK_LEASE more.
 * @throws MirrorError transient when it took so long that another has begun.
 */
export async function scrub(
  parts: ScrubParts,
  level: ScrubLevel,
  shard: Shard,
): Promise<ScrubResult | undefined> {
  const kind = `${level}/${shard.index}of${shard.of}`;
  return await underLease(parts, `scrub/${kind}`, parts.owner, (keep) =>
    scrubUnderLease(parts, level, shard, kind, keep),
  );
}

async function scrubUnderLease(
  parts: ScrubParts,
  level: ScrubLevel,
  shard: Shard,
  kind: string,
  keep: () => Promise<boolean>,
): Promise<ScrubResult> {
  const slice = level === "stored" ? sliceOf(parts.now()) : undefined;
  const progress = await ScrubProgress.open(parts, kind, parts.now(), slice);
  for await (const finding of progress.earlier()) parts.report(finding);
  const settle = parts.mend ?? (async (findings) => findings.map(unmended));
  const { report, now } = parts;
  const work = new ScrubWork({ progress, settle, report, now, keep, tell: parts.progress });
  const left = await lookAt(parts, level, shard, progress, work);
  if (left === undefined) await work.finish();
  else await work.pause(left.cursor);
  return { run: progress.state.run, finished: left === undefined, counts: work.counts };
}

async function lookAt(
  parts: ScrubParts,
  level: ScrubLevel,
  shard: Shard,
  { state }: ScrubProgress,
  work: ScrubWork,
): Promise<Unfinished | undefined> {
  const cursor = state.cursor ?? "";
  const deadline = parts.deadline ?? noDeadline;
  // Tiles first, and in one piece: what proves versions is mended before versions are proven.
  if (level !== "stored" && shard.index === 1 && cursor === "") await lookAtDatabases(parts, level, work);
  if (level === "quick") {
    const databases = new Set(parts.verifiers.map(({ name }) => name));
    return await quickScrub({ ...parts, databases, deadline }, shard, cursor, work);
  }
  const clients = await offlineClients(parts);
  const read = (bytes: number) => work.count({ files: 1, bytes });
  return await contentScrub(
    { ...parts, clients, deadline, progress: read },
    { level, shard, slice: state.slice },
    cursor,
    work,
  );
}

async function lookAtDatabases(parts: ScrubParts, level: ScrubLevel, work: ScrubWork): Promise<void> {
  const { tree, ledger } = parts;
  const progress = (bytes: number) => work.count({ files: 1, bytes });
  for (const verifier of parts.verifiers) {
    const found: ScrubFinding[] = [];
    const prove = level === "deep";
    for await (const finding of checkDatabase({ tree, ledger, verifier, prove, progress })) {
      found.push(finding);
      if (found.length < FINDINGS_AT_ONCE) continue;
      work.found(found.splice(0));
      await work.settle();
    }
    work.found(found);
    await work.settle();
  }
}

/** A tree that has lost a folder of tiles has them mended in some goes. */
const FINDINGS_AT_ONCE = 1_000;

/** One go client without network for each database, which has seen our newest head. */
async function offlineClients({
  tree,
  ledger,
  verifiers,
}: ScrubParts): Promise<ReadonlyMap<string, OfflineClient>> {
  const clients = new Map<string, OfflineClient>();
  for (const verifier of verifiers) {
    const { name } = verifier;
    const files = {
      read: async (tile: Parameters<typeof tileKey>[1]) =>
        (await tree.get(tileKey(name, tile), FULL_TILE_SIZE))?.bytes,
      lookup: async (version: Parameters<typeof lookupKey>[1]) =>
        (await tree.get(lookupKey(name, version), LARGEST_LOOKUP))?.bytes,
    };
    const latest = (await ledger.readHead(name))?.note;
    clients.set(name, new OfflineClient({ verifier, tree: files, ...(latest && { latest }) }));
  }
  return clients;
}

/** Nobody tries to mend it. */
export function unmended({ repair, ...finding }: ScrubFinding): SettledFinding {
  return { ...finding, outcome: "open", ...(repair === undefined ? {} : { remedy: REMEDY }) };
}

const REMEDY = "run scrub with an upstream, and while nobody else writes this mirror";
