import type { ModuleVersion, Version } from "../gomod/version.ts";
import type { ClosureFile, Need } from "./closure-file.ts";
import { garbageChosenAt } from "./garbage/current-list.ts";
import { lostFiles, NOTHING_LOST, withoutLost } from "./lost-files.ts";
import {
  BYTES_PER_ORDER,
  type FetchOrder,
  isFeedName,
  queueOf,
  type RequestKey,
  VERSIONS_PER_ORDER,
} from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { claimed } from "./pin-claim.ts";
import { pinsOf } from "./pins.ts";
import { openDatabases, unprovenBy } from "./prove-version.ts";
import { covers, ORDER_LOST_AFTER, toBeProven, type VersionRecord, want } from "./records.ts";
import { handedInAt } from "./requests.ts";
import { settle } from "./settle.ts";
import { changedEntry } from "./snapshot/entry-change.ts";
import { updateRecords, updateRequest } from "./update.ts";

/** One ledger write of records takes this many at a time. */
const RECORDS_PER_WRITE = 500;

/**
 * Writes down what a closure needs, then which orders the request waits for, then sends them. A crash before the
 * sending leaves a request that reconcile settles and orders again when it is due; nothing is ordered that is not
 * recorded. What has failed since the request was handed in is left to its own wait. What people ask for and is held
 * without the proof of a database that covers it by now is proven by that one too.
 * @returns what is ordered.
 */
export async function dispatch(
  parts: MirrorParts,
  request: RequestKey,
  closure: ClosureFile,
): Promise<VersionRecord[]> {
  const { open, missing } = await recordNeeds(parts, request, closure.needs);
  const orders = groupOrders(open).map((order, number) => ({ ...order, request, number }));
  await parts.ledger.openOrders(
    request,
    orders.map((order) => order.number),
  );
  await updateRequest(parts.ledger, request, (record) => {
    if (record === undefined) return undefined;
    const { tries: _tries, error: _error, ...rest } = record;
    const due = parts.now() + ORDER_LOST_AFTER;
    return { ...rest, state: "RESOLVED", total: closure.needs.length, missing, due };
  });
  parts.report({ event: "resolved", request, versions: closure.needs.length, toFetch: open.length });
  if (orders.length === 0) await settle(parts, request);
  else await parts.queue.send(queueOf(request), orders);
  return open;
}

/** @returns the versions to be ordered, and how many there are whose files are not all held. */
async function recordNeeds(
  parts: MirrorParts,
  request: RequestKey,
  needs: readonly Need[],
): Promise<{ open: VersionRecord[]; missing: number }> {
  const open: VersionRecord[] = [];
  let missing = 0;
  const since = handedInAt(request);
  // A feed's ticks would ask for each of a graph's versions again and again.
  const asksAgain = !isFeedName(request.name);
  const claimsOf = await pinsOf(parts, request);
  const chosenAt = await garbageChosenAt(parts.ledger);
  for (let at = 0; at < needs.length; at += RECORDS_PER_WRITE) {
    const some = needs.slice(at, at + RECORDS_PER_WRITE);
    for (const extent of ["mod", "whole"] as const) {
      const versions = some.filter((need) => need.extent === extent).map((need) => need.version);
      const now = parts.now();
      // People ask again because something is missing; what a feed names is looked at by scrubbing.
      const lost = asksAgain ? await lostFiles(parts, versions) : NOTHING_LOST;
      const databasesFor = await openDatabases(parts, asksAgain ? versions : []);
      const lacksProof = (record: VersionRecord) => unprovenBy(record, databasesFor(record.path)).length > 0;
      const decide = (record: VersionRecord | undefined, version: ModuleVersion) => {
        const provable = parts.databasesFor(version.path).length > 0;
        const known = want(withoutLost(record, lost), version, extent, request.name, now, provable, since);
        const next = extent === "whole" ? claimed(known, claimsOf(version)) : known;
        // Once for each request: what a database had no record of when it was asked is not asked for again.
        if (next.wantedAt <= since && lacksProof(next)) return toBeProven(next, now);
        return next === record ? wantedAgain(next, chosenAt, now) : next;
      };
      const records = await updateRecords(parts.ledger, versions, decide, changedEntry(parts.now));
      for (const record of records) {
        if (record === undefined) continue;
        const held = covers(record.held, extent);
        if (!held) missing++;
        else if (!lacksProof(record)) continue;
        if (record.state === "PENDING") open.push(record);
      }
    }
  }
  return { open, missing };
}

/**
 * What is held and wanted once more: its time moves where a list of what nothing needs was written since it was last
 * wanted, so that nobody who acts upon that list takes it (mirror/garbage/sweep.ts). Else nothing is written.
 */
function wantedAgain(record: VersionRecord, chosenAt: number | undefined, now: number): VersionRecord {
  const mayBeListed = chosenAt !== undefined && record.wantedAt <= chosenAt;
  return mayBeListed && record.state === "READY" ? { ...record, wantedAt: now } : record;
}

/** What is to be ordered, with what is known of it. */
export type Ordered = ModuleVersion & Pick<Partial<VersionRecord>, "zipSize" | "wanted" | "held">;

/**
 * Orders of one module each, so that one worker publishes a list once and two workers seldom meet; bounded by count and
 * by the bytes of the zips that they bring. A zip's size is known where it was here before, or was too large; else it is
 * taken to be as large as the largest of its module that is known here, for versions of a module are alike in size.
 */
export function groupOrders(versions: readonly Ordered[]): FetchOrder[] {
  const byPath = Map.groupBy(versions, (version) => version.path);
  return [...byPath].flatMap(([path, of]) => {
    const orders: { kind: "fetch"; path: typeof path; versions: Version[] }[] = [];
    const likely = Math.max(0, ...of.map(({ zipSize }) => zipSize ?? 0));
    let left = 0;
    for (const { version, zipSize = likely, wanted, held } of of) {
      const bytes = wanted === "mod" || held === "whole" ? 0 : zipSize;
      let order = orders.at(-1);
      if (order === undefined || order.versions.length === VERSIONS_PER_ORDER || bytes > left) {
        order = { kind: "fetch", path, versions: [] };
        orders.push(order);
        left = BYTES_PER_ORDER;
      }
      order.versions.push(version);
      left -= bytes;
    }
    return orders;
  });
}
