import { groupOrders } from "./dispatch.ts";
import type { Order } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import type { RequestRecord } from "./requests.ts";
import { settle } from "./settle.ts";
import { updateRecords, updateRequest } from "./update.ts";

/** What one tick takes on at most; the rest stays due for the next. */
const RECORDS_PER_TICK = 2_000;
const REQUESTS_PER_TICK = 100;

/**
 * Sends again whatever is due or was left in doubt by a crash: orders for versions, resolutions of requests. Each is
 * pushed into the future first, so that the next tick leaves it alone while its order is under way; a crash in between
 * costs one such wait.
 * @param onlyWriter on a desk nobody else can be at work: what is merely under way is in doubt too.
 */
export async function reconcile(
  parts: MirrorParts,
  options: { onlyWriter: boolean },
): Promise<{ orders: number }> {
  const now = parts.now();
  const horizon = options.onlyWriter ? now + ORDER_LOST_AFTER : now;
  const orders: Order[] = [];

  for (const request of await parts.ledger.dueRequests(horizon, REQUESTS_PER_TICK)) {
    if (inDoubt(request, now)) orders.push(...(await reviveRequest(parts, request)));
  }
  const due = (await parts.ledger.due(horizon, RECORDS_PER_TICK)).filter((record) => inDoubt(record, now));
  const pushed = await updateRecords(parts.ledger, due, (record) =>
    record?.due === undefined ? undefined : { ...record, due: now + ORDER_LOST_AFTER },
  );
  orders.push(...groupOrders(pushed.filter((record) => record?.due !== undefined) as VersionRecord[]));
  if (orders.length > 0) await parts.queue.send("fresh", orders);
  return { orders: orders.length };
}

/** Due, or still at work although nobody else can be working. */
function inDoubt(item: { readonly state: string; readonly due?: number }, now: number): boolean {
  return (item.due !== undefined && item.due <= now) || ["PENDING", "OPEN", "RESOLVED"].includes(item.state);
}

async function reviveRequest(parts: MirrorParts, request: RequestRecord): Promise<Order[]> {
  const key = { name: request.name, time: request.time };
  await updateRequest(parts.ledger, key, (record) =>
    record?.due === undefined ? undefined : { ...record, due: parts.now() + ORDER_LOST_AFTER },
  );
  // Its orders may all be done and only the last one's settling lost.
  if (request.state === "RESOLVED" && (await settle(parts, key)).length === 0) return [];
  return [{ kind: "resolve", request: key }];
}
