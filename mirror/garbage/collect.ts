import type { Deadline, MirrorParts } from "../parts.ts";
import { REMOVAL_WAIT } from "../records.ts";
import type { Subscriptions } from "../subscription.ts";
import { underLease } from "../tick-lease.ts";
import { actUponList, type ListReport } from "./act-upon-list.ts";
import { chooseVersions } from "./choose.ts";
import { chooseObjects } from "./choose-objects.ts";
import { type CurrentList, readCurrentList, revisionOf, writeCurrentList } from "./current-list.ts";
import { deleteVersion } from "./delete-files.ts";
import { endRequests } from "./end-requests.ts";
import { type Forgotten, forgetOld } from "./forget.ts";
import { type GarbageList, runName, writeList } from "./garbage-list.ts";
import { type ReferenceParts, type References, readReferences } from "./references.ts";
import { beingRemoved, keepNeeded, removable } from "./removable.ts";
import type { GarbageSettings } from "./settings.ts";
import { isTooLarge, totalsOf } from "./share.ts";
import { SnapshotHolds } from "./snapshot-holds.ts";
import { Batches } from "./throttle-batches.ts";

export interface CollectParts extends ReferenceParts, Pick<MirrorParts, "queue" | "report"> {}

export interface CollectOptions {
  readonly settings: GarbageSettings;
  readonly subscriptions: Subscriptions;
  readonly owner: string;
  /** On a desk nobody else can be at work. */
  readonly onlyWriter: boolean;
  readonly deadline: Deadline;
  /** Waits between two batches; left out: not at all. */
  readonly rest?: () => Promise<void>;
}

/** What a run did, and what waits. Sizes in bytes, times in ms since the epoch. */
export interface Collected {
  readonly outcome: "ran" | "at work elsewhere";
  readonly held: { readonly versions: number; readonly bytes: number };
  /** Requests that are over since this run, and snapshots. */
  readonly ended: number;
  readonly expired: readonly string[];
  /** Versions on their way out that are needed after all. */
  readonly kept: number;
  /** Versions whose files are gone since this run. */
  readonly deleted: { readonly versions: number; readonly bytes: number };
  /** On their way out: off their lists, with all of their files. */
  readonly removing: number;
  /** What had been gone, or over, for so long that the ledger knows it no more. */
  readonly forgotten: Forgotten;
  /** The list that was acted upon, and what came of it. */
  readonly acted: ListReport | undefined;
  /** The list that waits now. */
  readonly list: ListStatus | undefined;
  /** Saved each month by what was deleted, and by what waits, in dollars. */
  readonly dollars: { readonly deleted: number; readonly listed: number };
  /** Not all was done that could be: no time was left, a snapshot was being taken, or another run took over. */
  readonly unfinished: boolean;
}

export interface ListStatus
  extends Pick<CurrentList, "run" | "versions" | "objects" | "bytes" | "share" | "stopped" | "approved"> {
  /** More than one list holds was found. */
  readonly more: number;
  /** From when on a run may act upon it; undefined where it waits for `--approve`. */
  readonly from: number | undefined;
}

const GB = 1e9;

/**
 * One run of garbage collection. It reads all references; ends requests and snapshots that are over; of what earlier runs
 * have taken off its lists it gives back what is needed after all, and takes out the files of the rest; acts upon the list
 * that was written by an earlier run and could be reviewed since; and writes the next one. So nothing that it chooses
 * now is deleted by it. Dying anywhere, the next run goes on.
 * @throws MirrorError where a store does not answer, or where it cannot be known what a request needs.
 */
export async function collectGarbage(parts: CollectParts, options: CollectOptions): Promise<Collected> {
  const { owner } = options;
  const done = await underLease(parts, "garbage", owner, (keep) => collect(parts, options, keep));
  return done ?? { ...nothing(), outcome: "at work elsewhere" };
}

async function collect(
  parts: CollectParts,
  options: CollectOptions,
  keep: () => Promise<boolean>,
): Promise<Collected> {
  const { settings, owner } = options;
  const snapshots = new SnapshotHolds(parts);
  const expired = await snapshots.expire(settings.window);
  const references = await readReferences(parts, { ...options, kept: () => snapshots.entries() });
  const ended = await endRequests(parts, [...references.requests.over, ...references.unwanted]);
  const batches = new Batches(options, keep);
  const swept = await snapshots.whileNoneIsTaken(owner, async (keepOther) => {
    batches.under(keepOther);
    return await sweep(parts, options, { references, snapshots, batches });
  });
  const forgotten = await forgetOld(parts, settings, references, new Batches(options, keep));
  const list = await nextList(parts, options, references, snapshots);
  return {
    ...nothing(),
    held: references.held,
    ended,
    expired,
    ...swept,
    forgotten,
    list,
    dollars: {
      deleted: dollarsOf(swept?.deleted.bytes ?? 0, settings),
      listed: dollarsOf(list?.bytes ?? 0, settings),
    },
    unfinished: swept === undefined || batches.unfinished,
  };
}

function nothing(): Collected {
  return {
    outcome: "ran",
    held: { versions: 0, bytes: 0 },
    ended: 0,
    expired: [],
    kept: 0,
    deleted: { versions: 0, bytes: 0 },
    removing: 0,
    forgotten: { versions: 0, requests: 0 },
    acted: undefined,
    list: undefined,
    dollars: { deleted: 0, listed: 0 },
    unfinished: false,
  };
}

interface Sweep {
  readonly references: References;
  readonly snapshots: SnapshotHolds;
  readonly batches: Batches;
}

/** What was chosen by earlier runs. */
async function sweep(
  parts: CollectParts,
  options: CollectOptions,
  { references, snapshots, batches }: Sweep,
): Promise<Pick<Collected, "kept" | "deleted" | "removing" | "acted">> {
  const under = await beingRemoved(parts.ledger);
  const kept = await keepNeeded(parts, references, under);
  const deleted = { versions: 0, bytes: 0 };
  const open = await removable(parts, { references, snapshots }, under, waitOf(options));
  await batches.each(open, async (some) => {
    await Promise.all(
      some.map(async (record) => {
        const bytes = await deleteVersion(parts, record);
        if (bytes === undefined) return;
        deleted.versions++;
        deleted.bytes += bytes;
      }),
    );
  });
  const current = await readCurrentList(parts.ledger);
  const isOpen = current !== undefined && actFrom(current, options) <= references.at;
  const acted = isOpen
    ? await actUponList(parts, references, current, snapshots.surplus(), batches)
    : undefined;
  const removing = under.length - kept - deleted.versions + (acted?.removing ?? 0);
  return { kept, deleted, removing, acted };
}

/** How long a version is off its list before its files go, in ms. */
function waitOf({ settings, onlyWriter }: CollectOptions): number {
  const seen = 2 * settings.caches;
  return onlyWriter ? seen : Math.max(seen, REMOVAL_WAIT);
}

/** From when on a list may be acted upon; never, where it waits for a person or is done with. */
function actFrom(list: CurrentList, { settings, onlyWriter }: CollectOptions): number {
  if (list.finished !== undefined) return Number.POSITIVE_INFINITY;
  // Who had begun to want something before the list was chosen has ended by then, and is seen by the references.
  const least = onlyWriter ? 0 : REMOVAL_WAIT;
  if (list.approved !== undefined) return list.at + least;
  if (list.stopped === true) return Number.POSITIVE_INFINITY;
  return list.at + Math.max(least, settings.review);
}

/** Chooses anew where no list waits, or one has waited for a person for longer than snapshots are kept. */
async function nextList(
  parts: CollectParts,
  options: CollectOptions,
  references: References,
  snapshots: SnapshotHolds,
): Promise<ListStatus | undefined> {
  const current = await readCurrentList(parts.ledger);
  const { settings } = options;
  const isStale = current?.stopped === true && current.at + settings.window < references.at;
  const waits = current !== undefined && current.finished === undefined && !isStale;
  if (waits) {
    if (current.stopped === true && current.approved === undefined)
      parts.report({ event: "garbage-stopped", ...reported(current) });
    return { ...current, more: 0, from: fromOf(current, options) };
  }
  const { list, more } = await choose(parts, references, options.onlyWriter, snapshots);
  if (list.versions.length === 0 && list.objects.length === 0) return undefined;
  const sha256 = await writeList(parts, list);
  const totals = totalsOf(list.versions, references);
  const counts = { ...totals, objects: list.objects.length };
  const stopped = isTooLarge(totals, settings) ? { stopped: true } : {};
  const revision = current?.revision ?? (await revisionOf(parts.ledger));
  const written = { run: list.run, at: references.at, sha256, ...counts, ...stopped, done: 0, revision };
  // A crash before this leaves a list that nobody acts upon. `changed`: another run was first, and reports its own.
  if ((await writeCurrentList(parts.ledger, written)) === "changed") return undefined;
  parts.report({
    event: stopped.stopped === true ? "garbage-stopped" : "garbage",
    ...reported(written),
  });
  return { ...written, more, from: fromOf(written, options) };
}

function fromOf(list: CurrentList, options: CollectOptions): number | undefined {
  const from = actFrom(list, options);
  return Number.isFinite(from) ? from : undefined;
}

function reported({ run, versions, bytes, share }: Omit<CurrentList, "at" | "revision">) {
  return { run, versions, bytes, share };
}

async function choose(
  parts: CollectParts,
  references: References,
  onlyWriter: boolean,
  snapshots: SnapshotHolds,
): Promise<{ readonly list: GarbageList; readonly more: number }> {
  const { versions, more: left } = await chooseVersions(parts, references, onlyWriter);
  const objects = await chooseObjects(parts, references, snapshots.surplus());
  return { list: { run: runName(references.at), versions, objects }, more: left };
}

/** What a run would choose now, and what waits; changes nothing. */
export async function wouldCollect(
  parts: CollectParts,
  options: CollectOptions,
): Promise<Collected & { readonly chosen: GarbageList }> {
  const { settings } = options;
  const snapshots = new SnapshotHolds(parts);
  const references = await readReferences(parts, { ...options, kept: () => snapshots.entries() });
  const { list, more } = await choose(parts, references, options.onlyWriter, snapshots);
  const totals = totalsOf(list.versions, references);
  const counts = { ...totals, objects: list.objects.length };
  const stopped = isTooLarge(totals, settings) ? { stopped: true } : {};
  const under = await beingRemoved(parts.ledger);
  return {
    ...nothing(),
    held: references.held,
    removing: under.length,
    list: { run: list.run, ...counts, ...stopped, more, from: undefined },
    dollars: { deleted: 0, listed: dollarsOf(totals.bytes, settings) },
    chosen: list,
  };
}

function dollarsOf(bytes: number, { dollarsPerGb }: GarbageSettings): number {
  return (bytes / GB) * dollarsPerGb;
}
