import type { ModuleVersion } from "../gomod/version.ts";
import type { ClosureFile, Need } from "./closure-file.ts";
import { lostFiles, withoutLost } from "./lost-files.ts";
import { type FetchOrder, isFeedName, queueOf, type RequestKey, VERSIONS_PER_ORDER } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { pinsOf } from "./pins.ts";
import { openDatabases, unprovenBy } from "./prove-version.ts";
import { covers, ORDER_LOST_AFTER, toBeProven, type VersionRecord, want } from "./records.ts";
import { pinned } from "./refusal.ts";
import { handedInAt } from "./requests.ts";
import { settle } from "./settle.ts";
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
): Promise<ModuleVersion[]> {
  const { open, missing } = await recordNeeds(parts, request, closure.needs);
  const orders = groupOrders(open).map((order, number) => ({ ...order, request, number }));
  await parts.ledger.openOrders(
    request,
    orders.map((order) => order.number),
  );
  await updateRequest(parts.ledger, request, (record) =>
    record === undefined
      ? undefined
      : {
          ...record,
          state: "RESOLVED",
          total: closure.needs.length,
          missing,
          due: parts.now() + ORDER_LOST_AFTER,
        },
  );
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
): Promise<{ open: ModuleVersion[]; missing: number }> {
  const open: ModuleVersion[] = [];
  let missing = 0;
  const since = handedInAt(request);
  // A feed's ticks would ask for each of a graph's versions again and again.
  const asksAgain = !isFeedName(request.name);
  const isPinned = await pinsOf(parts, request);
  for (let at = 0; at < needs.length; at += RECORDS_PER_WRITE) {
    const some = needs.slice(at, at + RECORDS_PER_WRITE);
    for (const extent of ["mod", "whole"] as const) {
      const versions = some.filter((need) => need.extent === extent).map((need) => need.version);
      const now = parts.now();
      const lost = await lostFiles(parts, versions);
      const databasesFor = await openDatabases(parts, asksAgain ? versions : []);
      const lacksProof = (record: VersionRecord) => unprovenBy(record, databasesFor(record.path)).length > 0;
      const records = await updateRecords(parts.ledger, versions, (record, version) => {
        const provable = parts.databasesFor(version.path).length > 0;
        const known = want(withoutLost(record, lost), version, extent, request.name, now, provable, since);
        const next = extent === "whole" && isPinned(version) ? pinned(known) : known;
        // Once for each request: what a database had no record of when it was asked is not asked for again.
        return next.wantedAt <= since && lacksProof(next) ? toBeProven(next, now) : next;
      });
      for (const record of records) {
        if (record === undefined) continue;
        const held = covers(record.held, extent);
        if (!held) missing++;
        else if (!lacksProof(record)) continue;
        if (record.state === "PENDING") open.push({ path: record.path, version: record.version });
      }
    }
  }
  return { open, missing };
}

/** Orders of one module each, so that one worker publishes a list once and two workers seldom meet. */
export function groupOrders(versions: readonly ModuleVersion[]): FetchOrder[] {
  const byPath = Map.groupBy(versions, (version) => version.path);
  return [...byPath].flatMap(([path, of]) => {
    const orders: FetchOrder[] = [];
    for (let at = 0; at < of.length; at += VERSIONS_PER_ORDER) {
      orders.push({
        kind: "fetch",
        path,
        versions: of.slice(at, at + VERSIONS_PER_ORDER).map((mv) => mv.version),
      });
    }
    return orders;
  });
}
