import pLimit from "p-limit";
import { compareStamps, type IndexStamp } from "../gomod/index-stamp.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { decide, feedWish, isRoot } from "./decision.ts";
import { handInAll } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { type VersionRecord, want } from "./records.ts";
import { handedInAt, type RequestBody, type Tier } from "./requests.ts";
import type { Follow } from "./subscription.ts";
import { updateRecords } from "./update.ts";

/** A version that a feed names and a subscription wants. */
export interface Root {
  readonly version: ModuleVersion;
  /** The feed's stamp, verbatim. */
  readonly stamp: string;
  readonly follow: Follow;
}

/** What a feed hands in, and under which names. */
export interface HandIn {
  /** Of the watermark, and in the roots' records. */
  readonly feed: string;
  /** Of the requests. */
  readonly name: string;
  readonly accept: (parts: MirrorParts, request: RequestKey) => Promise<void>;
}

/** Graphs of one request, so that its resolution stays one unit of work. */
const GRAPHS_PER_REQUEST = 50;
/** Roots without graphs cost a resolution nothing. */
const ALONE_PER_REQUEST = 2_000;
/** Requests that are accepted at a time. */
const ACCEPTED_AT_ONCE = 16;
/** Records read and written at a time. */
const RECORDS_AT_ONCE = 2_000;
/**
 * A root is fetched by its request, which reconcile revives; by itself only after this long, in ms. Else a root whose
 * graph is still to be loaded would be held, and the feed be taken for complete, before its closure is known.
 */
const ROOT_LOST_AFTER = 6 * 3_600_000;

/**
 * What of these is to be handed in, and what is known as the same feed's with a later stamp: that counts from the earlier
 * one on from now on, for the feed is complete only where all that it saw is here.
 * @returns those of these versions that are no roots yet: the rest is held, under way, or waits for its own time.
 */
export async function newRoots(
  parts: Pick<MirrorParts, "ledger" | "databasesFor" | "now">,
  roots: readonly Root[],
  feed: string,
): Promise<Root[]> {
  const found: Root[] = [];
  for (let at = 0; at < roots.length; at += RECORDS_AT_ONCE) {
    const some = roots.slice(at, at + RECORDS_AT_ONCE);
    const records = await parts.ledger.read(some.map((root) => root.version));
    const now = parts.now();
    found.push(
      ...some.filter((root, i) => {
        const provable = parts.databasesFor(root.version.path).length > 0;
        const seen = { wanted: "whole", by: "feed", asRoot: true, provable, now } as const;
        return decide(records[i], seen).action !== "none";
      }),
    );
    await countFrom(
      parts.ledger,
      some.filter((root, i) => isEarlier(root, records[i], feed)),
      feed,
    );
  }
  return found;
}

/** A module that is named outright is asked for all of its versions before the index has come to theirs. */
function isEarlier({ stamp }: Root, record: VersionRecord | undefined, feed: string): boolean {
  if (record === undefined || record.feed !== feed || record.listed) return false;
  return (
    record.feedTime !== undefined && compareStamps(stamp as IndexStamp, record.feedTime as IndexStamp) < 0
  );
}

async function countFrom(ledger: MirrorParts["ledger"], roots: readonly Root[], feed: string): Promise<void> {
  const byName = new Map(roots.map((root) => [formatModuleVersion(root.version), root]));
  const versions = roots.map(({ version }) => version);
  await updateRecords(ledger, versions, (record, version) => {
    const root = byName.get(formatModuleVersion(version));
    if (record === undefined || root === undefined || !isEarlier(root, record, feed)) return record;
    return { ...record, feedTime: root.stamp };
  });
}

/**
 * Hands roots in as requests, each closed alone, then writes their records: a record that names the feed is what keeps
 * the next tick from handing it in again. A crash in between hands the same in once more and changes nothing else.
 * @param latest modules of which whatever `@latest` means is wanted besides.
 */
export async function handInRoots(
  parts: MirrorParts,
  roots: readonly Root[],
  latest: readonly { readonly path: ModulePath; readonly follow: Follow }[],
  { feed, name, accept }: HandIn,
): Promise<void> {
  const requests = await handInAll(parts, name, bodies(roots, latest));
  const limit = pLimit(ACCEPTED_AT_ONCE);
  await limit.map(requests, (request) => accept(parts, request));
  const [first] = requests;
  if (first !== undefined) await noteRoots(parts, roots, feed, handedInAt(first));
}

/**
 * Writes roots' records: a feed waits for them from now on, and their requests fetch them.
 * @param since when they are handed in.
 */
export async function noteRoots(
  parts: Pick<MirrorParts, "ledger" | "databasesFor" | "now">,
  roots: readonly Root[],
  feed: string,
  since: number,
): Promise<void> {
  const byName = new Map(roots.map((root) => [formatModuleVersion(root.version), root]));
  for (let at = 0; at < roots.length; at += RECORDS_AT_ONCE) {
    const versions = roots.slice(at, at + RECORDS_AT_ONCE).map((root) => root.version);
    await updateRecords(parts.ledger, versions, (record, version) => {
      const stamp = byName.get(formatModuleVersion(version))?.stamp;
      if (stamp === undefined || (record !== undefined && isRoot(record))) return record;
      return asRoot(parts, record, version, { feed, stamp, since });
    });
  }
}

/** The record once the feed has handed it in: wanted whole, and asked for again where it had failed before. */
function asRoot(
  parts: Pick<MirrorParts, "databasesFor" | "now">,
  record: VersionRecord | undefined,
  version: ModuleVersion,
  { feed, stamp, since }: { readonly feed: string; readonly stamp: string; readonly since: number },
): VersionRecord {
  const wish = feedWish(feed);
  const named = { feed, feedTime: stamp, awaited: true, wish } as const;
  // Policy and blocks have their own times; once they let it in, it is a root.
  const keptOut = record !== undefined && ["BLOCKED", "DENIED", "HELD"].includes(record.state);
  if (keptOut) return { ...record, ...named, wanted: "whole" };
  const now = parts.now();
  const provable = parts.databasesFor(version.path).length > 0;
  const next = want(record, version, "whole", wish, now, provable, since);
  // Somebody else's order for it may be out: that one is missed earlier.
  const ordered = next.state !== "PENDING" || record?.state === "PENDING";
  return { ...next, ...named, ...(ordered ? {} : { due: now + ROOT_LOST_AFTER }) };
}

function bodies(
  roots: readonly Root[],
  latest: readonly { readonly path: ModulePath; readonly follow: Follow }[],
): RequestBody[] {
  const alone = roots
    .filter((root) => root.follow === "none")
    .map((root) => formatModuleVersion(root.version));
  const graphs = [
    ...roots
      .filter((root) => root.follow !== "none")
      .map((root) => ({ wish: formatModuleVersion(root.version), follow: root.follow })),
    // Which version `@latest` means is found by its resolution; then its graph is wanted too.
    ...latest.map(({ path, follow }) => ({ wish: `${path}@latest`, follow })),
  ];
  const byTier = Map.groupBy(graphs, ({ follow }): Tier => (follow === "none" ? "build" : follow));
  return [
    ...chunks(alone, ALONE_PER_REQUEST).map((some) => body("build", [], some)),
    ...[...byTier].flatMap(([tier, of]) =>
      chunks(of, GRAPHS_PER_REQUEST).map((some) =>
        body(
          tier,
          some.map(({ wish }) => wish),
          [],
        ),
      ),
    ),
  ];
}

function body(tier: Tier, wishes: readonly string[], alone: readonly string[]): RequestBody {
  return {
    format: 1,
    tier,
    files: {},
    exact: [],
    wishes: [...wishes],
    together: false,
    graph: "pruned",
    recorded: [],
    ...(alone.length === 0 ? {} : { alone: [...alone] }),
  };
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
