import { asMirrorError } from "../errors.ts";
import type { RequestKey } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import { parseClosureKey, parseRequestInboxKey } from "../requests.ts";
import { removeSnapshot } from "../snapshot/catalog.ts";
import { isSnapshotName, SNAPSHOTS } from "../snapshot/snapshot-name.ts";
import { chooseObjects, nameOf, rootsOf } from "./choose-objects.ts";
import { type CurrentList, writeCurrentList } from "./current-list.ts";
import { endRequest } from "./end-requests.ts";
import { type GarbageList, readList, type SurplusObject } from "./garbage-list.ts";
import { takeOffLists } from "./off-list.ts";
import type { References } from "./references.ts";
import { sweepVersions } from "./sweep.ts";
import type { Batches } from "./throttle-batches.ts";

type ActParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "now" | "report">;

/** What came of a list, as far as this run has gone. */
export interface ListReport {
  readonly run: string;
  readonly removing: number;
  /** Needed again by now, or wanted meanwhile. */
  readonly spared: number;
  readonly objects: number;
  /** All of its lines were acted upon. */
  readonly finished: boolean;
  /** Why nothing of it was done. */
  readonly problem?: string;
}

/**
 * Acts upon a list that an earlier run has written, from where the last one ended: versions begin to be collected, then
 * objects of the vault go, each as long as nothing needs it under the references of this run.
 */
export async function actUponList(
  parts: ActParts,
  references: References,
  current: CurrentList,
  more: AsyncIterable<SurplusObject>,
  batches: Batches,
): Promise<ListReport> {
  let list: GarbageList;
  try {
    list = await readList(parts, current.run, current.sha256);
  } catch (thrown) {
    const error = asMirrorError(thrown, current.run);
    if (error.class !== "malformed") throw error;
    await writeCurrentList(parts.ledger, { ...current, finished: parts.now() });
    return { run: current.run, removing: 0, spared: 0, objects: 0, finished: true, problem: error.message };
  }
  let state: CurrentList = current;
  const counts = { removing: 0, spared: 0, objects: 0 };
  const note = async (next: Partial<CurrentList>) => {
    const written = await writeCurrentList(parts.ledger, { ...state, ...next });
    if (written !== "changed") state = written;
  };
  await batches.each(list.versions.slice(state.done), async (some) => {
    const { removing, spared } = await sweepVersions(parts, references, some);
    counts.removing += removing;
    counts.spared += spared;
    await note({ done: state.done + some.length });
  });
  if (!batches.unfinished) counts.objects = await removeObjects(parts, references, list, more, batches);
  if (!batches.unfinished) await note({ finished: parts.now() });
  return { run: current.run, ...counts, finished: !batches.unfinished };
}

/** Those of the list that would be chosen again now. @returns how many are gone. */
async function removeObjects(
  parts: ActParts,
  references: References,
  { objects }: GarbageList,
  more: AsyncIterable<SurplusObject>,
  batches: Batches,
): Promise<number> {
  if (objects.length === 0) return 0;
  const now = new Set((await chooseObjects(parts, references, more)).map(({ object }) => object));
  let removed = 0;
  await batches.each(
    objects.filter(({ object }) => now.has(object)),
    async (some) => {
      for (const { object } of some) {
        removed++;
        const name = object.slice(SNAPSHOTS.length, -1);
        if (object.startsWith(SNAPSHOTS) && isSnapshotName(name)) {
          await removeSnapshot(parts.vault, name);
          continue;
        }
        const request = parseClosureKey(object) ?? parseRequestInboxKey(object);
        // First: what is ended is never settled or resolved again, and so never asks for what is gone.
        if (request !== undefined) await endRequest(parts, request);
        if (parseClosureKey(object) !== undefined && request !== undefined)
          await unlistUnrecorded(parts, references, request);
        await parts.vault.remove(object);
      }
    },
  );
  return removed;
}

/**
 * Takes off its list what a publisher of this request, that died before it had noted it, has left there, and what nobody
 * would take off once the request's closure is gone.
 */
async function unlistUnrecorded(
  parts: ActParts,
  { closures, requests }: References,
  request: RequestKey,
): Promise<void> {
  const kept = new Set([...requests.current, ...requests.ofFeeds].map(nameOf));
  const isKept = (other: RequestKey) => kept.has(nameOf(other)) && nameOf(other) !== nameOf(request);
  const roots = (await rootsOf(parts, request)).filter((root) => !closures.isElsewhere(root, isKept));
  const records = await parts.ledger.read(roots);
  const unlisted = roots.filter((_, at) => records[at]?.listed === false);
  // A request that has come since may have listed them meanwhile.
  await takeOffLists(parts, unlisted);
}
