import type { ModuleVersion } from "../gomod/version.ts";
import type { ClosureFile, Need } from "./closure-file.ts";
import { type FetchOrder, type RequestKey, VERSIONS_PER_ORDER } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { covers, ORDER_LOST_AFTER, want } from "./records.ts";
import { settle } from "./settle.ts";
import { updateRecords, updateRequest } from "./update.ts";

/** One ledger write of records takes this many at a time. */
const RECORDS_PER_WRITE = 500;

/**
 * Writes down what a closure needs, then which orders the request waits for, then sends them. A crash before the
 * sending leaves a request that reconcile settles and resolves again when it is due; nothing is ordered that is not
 * recorded.
 */
export async function dispatch(parts: MirrorParts, request: RequestKey, closure: ClosureFile): Promise<void> {
  const open = await recordNeeds(parts, request.name, closure.needs);
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
          missing: open.length,
          due: parts.now() + ORDER_LOST_AFTER,
        },
  );
  parts.report({ event: "resolved", request, versions: closure.needs.length, toFetch: open.length });
  if (orders.length === 0) await settle(parts, request);
  else await parts.queue.send("fresh", orders);
}

/** @returns the versions whose files are not all held. */
async function recordNeeds(
  parts: MirrorParts,
  wish: string,
  needs: readonly Need[],
): Promise<ModuleVersion[]> {
  const open: ModuleVersion[] = [];
  for (let at = 0; at < needs.length; at += RECORDS_PER_WRITE) {
    const some = needs.slice(at, at + RECORDS_PER_WRITE);
    for (const extent of ["mod", "whole"] as const) {
      const versions = some.filter((need) => need.extent === extent).map((need) => need.version);
      const now = parts.now();
      const records = await updateRecords(parts.ledger, versions, (record, version) =>
        want(record, version, extent, wish, now, parts.databaseFor(version.path) !== undefined),
      );
      records.forEach((record, i) => {
        const version = versions[i];
        if (version !== undefined && (record === undefined || !covers(record.held, record.wanted)))
          open.push(version);
      });
    }
  }
  return open;
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
