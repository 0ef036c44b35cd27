import { formatModuleVersion } from "../gomod/version.ts";
import { finishBlocks } from "./block.ts";
import { readAllBlocks } from "./blocks.ts";
import { type ClosureFile, readClosure } from "./closure-file.ts";
import { type Deadline, noDeadline } from "./deadline.ts";
import { dispatch, groupOrders } from "./dispatch.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import { revived } from "./failed-record.ts";
import { finishDeletions } from "./garbage/delete-files.ts";
import { queueOf, type RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { sweepPolicy } from "./policy-sweep.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import type { RequestRecord } from "./requests.ts";
import { underLease } from "./tick-lease.ts";
import { finishUnblocks } from "./unblock.ts";
import { updateRecords, updateRequest } from "./update.ts";

/** Of a tick's time what is due leaves at least this much for what operators and another policy want done, in ms. */
const TIME_BY_HAND = 100_000;
/** What one tick takes on at most; the rest stays due for the next. */
const RECORDS_PER_TICK = 2_000;
const REQUESTS_PER_TICK = 100;

export interface ReconcileOptions {
  /** On a desk nobody else can be at work: what is merely under way is in doubt too. */
  readonly onlyWriter: boolean;
  readonly owner?: string;
  /**
   * When the first of several ticks in a row began, in ms since the epoch; left out: now. What one of them has taken on is
   * due beyond the look of the next, so that they come to an end.
   */
  readonly since?: number;
  readonly deadline?: Deadline;
}

export interface Reconciled {
  readonly orders: number;
  readonly failed: string[];
  /** It has looked at as much as one tick may, and taken some of it on: there may be more. */
  readonly isFull: boolean;
}

interface Tick {
  readonly parts: MirrorParts;
  readonly now: number;
  readonly onlyWriter: boolean;
  /** `module@version` of what this tick has ordered already. */
  readonly ordered: Set<string>;
  /** Requests and records that it has taken on. */
  taken: number;
}

/**
 * Sends again whatever is due or was left in doubt by a crash: orders for versions, resolutions of requests; then goes on
 * with what is blocked, unblocked, and was refused by another policy, each of which notes how far it has come. What that
 * makes due is for the next tick. What is due is taken on bounded, so that neither waits for the other for ever. Each is
 * pushed into the future first, so that the next tick leaves it alone while its order is under way; a crash in between
 * costs one such wait. Requests go first, so that the last order of each settles it; one that cannot be revived stops
 * none of the others, and is due again.
 * @returns how many orders were sent, and what is wrong with requests that could not be revived.
 */
export async function reconcile(parts: MirrorParts, options: ReconcileOptions): Promise<Reconciled> {
  const now = parts.now();
  const tick: Tick = { parts, now, onlyWriter: options.onlyWriter, ordered: new Set(), taken: 0 };
  const since = options.since ?? now;
  const horizon = options.onlyWriter ? since + ORDER_LOST_AFTER : since;
  const deadline = options.deadline ?? noDeadline;
  const failed: string[] = [];
  let orders = 0;
  const requests = await parts.ledger.dueRequests(horizon, REQUESTS_PER_TICK);
  for (const request of requests) {
    if (deadline.remaining() < TIME_BY_HAND) break;
    try {
      orders += await reviveRequest(tick, { name: request.name, time: request.time });
    } catch (thrown) {
      failed.push(asMirrorError(thrown, `request ${request.name}/${request.time}`).message);
    }
  }
  const records = await parts.ledger.due(horizon, RECORDS_PER_TICK);
  orders += await reviveRecords(tick, records);
  const isFull = requests.length === REQUESTS_PER_TICK || records.length === RECORDS_PER_TICK;
  const owner = options.owner ?? "reconcile";
  let madeDue = 0;
  for (const step of [
    () => finishByHand(parts, deadline),
    async () => {
      madeDue = await sweepPolicy(parts, owner, deadline);
    },
  ])
    await step().catch((thrown: unknown) => failed.push(asMirrorError(thrown, "mirror").message));
  return { orders, failed, isFull: (isFull && tick.taken > 0) || madeDue > 0 };
}

/** What operators have blocked and unblocked, and is not yet done to its end. */
async function finishByHand(parts: MirrorParts, deadline: Deadline): Promise<void> {
  const blocks = await readAllBlocks(parts.ledger);
  const blocked = await Promise.allSettled([finishBlocks(parts, blocks, deadline)]);
  await finishUnblocks(parts, blocks, deadline);
  for (const result of blocked) {
    if (result.status === "rejected") throw result.reason;
    if (result.value !== undefined) continue;
    const message =
      "blocks: another process takes out or gives back, or died at it; a reconcile in some minutes goes on";
    throw new MirrorError("transient", "blocks", message);
  }
}

/** A scheduled reconcile: nothing where another one is still at work. */
export async function reconcileTick(
  parts: MirrorParts,
  owner: string,
  deadline: Deadline = noDeadline,
): Promise<Reconciled & { readonly skipped: boolean }> {
  const options = { onlyWriter: false, owner, deadline };
  const done = await underLease(parts, "reconcile", owner, () => reconcile(parts, options));
  return done === undefined
    ? { orders: 0, failed: [], isFull: false, skipped: true }
    : { ...done, skipped: false };
}

/** What the index names is read again: it may lag. */
async function reviveRecords(tick: Tick, due: readonly VersionRecord[]): Promise<number> {
  const { parts, now, ordered } = tick;
  await finishDeletions(parts, due);
  const doubtful = due.filter((record) => inDoubt(tick, record) && !ordered.has(formatModuleVersion(record)));
  const again = new Set<string>();
  const records = await updateRecords(parts.ledger, doubtful, (record) => {
    const name = record === undefined ? "" : formatModuleVersion(record);
    again.delete(name);
    if (record === undefined || !inDoubt(tick, record)) return undefined;
    const next = revived(record, now);
    if (next !== undefined) again.add(name);
    return next;
  });
  tick.taken += again.size;
  const orders = groupOrders(
    records.filter(
      (record): record is VersionRecord => record !== undefined && again.has(formatModuleVersion(record)),
    ),
  );
  if (orders.length > 0) await parts.queue.send("backfill", orders);
  return orders.length;
}

/** Due, or still at work although nobody else can be working. */
function inDoubt(
  { now, onlyWriter }: Tick,
  item: { readonly state: string; readonly due?: number },
): boolean {
  if (item.due === undefined) return false;
  return item.due <= now || (onlyWriter && ["PENDING", "OPEN", "RESOLVED"].includes(item.state));
}

/** @returns how many orders were sent. */
async function reviveRequest(tick: Tick, key: RequestKey): Promise<number> {
  const { parts, now, ordered } = tick;
  let taken: RequestRecord["state"] | undefined;
  await updateRequest(parts.ledger, key, (record) => {
    taken = undefined;
    if (record === undefined || !inDoubt(tick, record)) return undefined;
    taken = record.state;
    return { ...record, due: now + ORDER_LOST_AFTER };
  });
  if (taken === undefined) return 0;
  tick.taken++;
  if (taken === "DONE" || taken === "REFUSED" || taken === "ENDED") return 0;
  const closure = taken === "OPEN" ? undefined : await closureOf(parts, key);
  if (closure === undefined || closure.unloaded.length > 0 || closure.unresolved.length > 0) {
    // What is missing may hide more of the graph.
    await parts.queue.send(queueOf(key), [{ kind: "resolve", request: key }]);
    return 1;
  }
  // Where its orders are all done and only the last one's settling was lost, this settles it.
  const sent = await dispatch(parts, key, closure);
  for (const version of sent) ordered.add(formatModuleVersion(version));
  return groupOrders(sent).length;
}

/** Undefined where it is missing or damaged: resolving the request again writes it anew. */
async function closureOf(parts: MirrorParts, key: RequestKey): Promise<ClosureFile | undefined> {
  try {
    return await readClosure(parts.vault, key);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}
