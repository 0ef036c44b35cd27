import pLimit from "p-limit";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { refuse } from "./accept.ts";
import { blockOf, freshBlocks } from "./blocks.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError } from "./errors.ts";
import { ERROR_BYTES, FIRST_WAIT, LONGEST_WAIT } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import { fetchAllowed } from "./gate.ts";
import { OutOfTime } from "./go-mod-loader.ts";
import type { FetchOrder, Order, RequestKey, ResolveOrder } from "./orders.ts";
import { noteFailed, noteFetched, noteRefused } from "./outcome.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import { unprovenBy } from "./prove-version.ts";
import { ensureList } from "./publish.ts";
import { covers, type VersionRecord } from "./records.ts";
import { handedInAt } from "./requests.ts";
import { resolveRequest } from "./resolve.ts";
import { settle } from "./settle.ts";
import { refuseVersions, takeOut } from "./take-out.ts";
import { updateRecords, updateRequest } from "./update.ts";
import { withinTime } from "./within-time.ts";

/** Versions of one order that are fetched at a time: each may hold a zip of SPOOL_LIMIT in memory. */
const VERSIONS_AT_ONCE = 4;

/**
 * Does one order. What goes wrong with a version is recorded with it and never thrown, so that the order is
 * acknowledged; only what leaves nothing recorded (a ledger that does not answer) is thrown, for the queue to redeliver.
 */
export async function work(parts: MirrorParts, order: Order, deadline: Deadline): Promise<void> {
  if (order.kind === "resolve") await resolveOrder(parts, order, deadline);
  else await fetchOrder(parts, order, deadline);
}

async function resolveOrder(parts: MirrorParts, order: ResolveOrder, deadline: Deadline): Promise<void> {
  const { request } = order;
  const known = await parts.ledger.readRequest(request);
  // Delivered twice, or late.
  if (known === undefined || ["DONE", "REFUSED", "ENDED"].includes(known.state)) return;
  try {
    await resolveRequest(parts, request, deadline, known.tries);
  } catch (thrown) {
    const error = asMirrorError(thrown, `request ${request.name}/${request.time}`);
    if (error.class === "misuse") await refuse(parts, request, error);
    else if (thrown instanceof OutOfTime) await noteOutOfTime(parts, request, thrown);
    else throw error;
  }
}

/** A resolution that has no time for all of it so often in a row is tried further, but after growing waits. */
const MOST_TRIES = 8;

/**
 * What is loaded so far is held: reconcile's next tick goes on from there. After MOST_TRIES it is INCOMPLETE, so that
 * whoever waits for it is told.
 */
async function noteOutOfTime(parts: MirrorParts, request: RequestKey, thrown: OutOfTime): Promise<void> {
  await updateRequest(parts.ledger, request, (record) => {
    if (record === undefined) return undefined;
    const tries = (record.tries ?? 0) + 1;
    const now = parts.now();
    if (tries < MOST_TRIES) return { ...record, tries, state: "OPEN", due: now };
    const reason = `no time to load all of its module graphs and lists, ${tries} times in a row; last: ${thrown.message}`;
    const wait = Math.min(LONGEST_WAIT, Math.max(FIRST_WAIT, now - handedInAt(request)));
    return { ...record, tries, state: "INCOMPLETE", error: firstBytes(reason, ERROR_BYTES), due: now + wait };
  });
}

async function fetchOrder(parts: MirrorParts, order: FetchOrder, deadline: Deadline): Promise<void> {
  const limit = pLimit(VERSIONS_AT_ONCE);
  const versions = order.versions.map((version) => ({ path: order.path, version }));
  const records = await parts.ledger.read(versions);
  let list: Promise<void> | undefined;
  const listThere = () => {
    list ??= ensureList(parts, order.path);
    return list;
  };
  // All have ended before this one does: what went on behind it would write at a time when nobody expects it.
  const results = await Promise.allSettled(
    records.map((record) => limit(() => record && fetchRecord(parts, record, deadline, listThere))),
  );
  for (const result of results) if (result.status === "rejected") throw result.reason;
  if (order.request === undefined || order.number === undefined) return;
  const { open } = await parts.ledger.closeOrder(order.request, order.number);
  // A crash here leaves a request without open orders: reconcile settles it when it is due.
  if (open === 0) await settle(parts, order.request);
}

async function fetchRecord(
  parts: MirrorParts,
  record: VersionRecord,
  deadline: Deadline,
  listThere: () => Promise<void>,
): Promise<void> {
  const version: ModuleVersion = { path: record.path, version: record.version };
  // READY, or an order that came twice or late: what has failed has its own wait, and is PENDING again after it.
  if (record.state !== "PENDING") return;
  if (deadline.remaining() < TIME_TO_CLOSE) return await dueAtOnce(parts, version);
  try {
    const proven = unprovenBy(record, parts.databasesFor(record.path)).length === 0;
    const { added, bytes, refusal } =
      proven && covers(record.held, record.wanted)
        ? { added: { held: record.held }, bytes: 0, refusal: undefined }
        : await withinTime(fetchAllowed(parts, record), deadline, formatModuleVersion(version));
    if (refusal !== undefined) return void (await noteRefused(parts, record, added, refusal));
    // Before the record: nothing is ordered again for one that says whole, so a crash here must not leave it without.
    if (added.held === "whole") await listThere();
    const noted = await noteFetched(parts, version, added, bytes);
    if (noted !== undefined && added.held === "whole") await lookAgain(parts, noted);
  } catch (thrown) {
    await noteFailed(parts, version, thrown);
  }
}

/** As old as what the second look at the blocks goes by may be, in ms. */
const SECOND_LOOK = 1_000;

/** It may have been blocked while its zip was on the way. A crash before this is found by reconcile (mirror/block.ts). */
async function lookAgain(parts: MirrorParts, record: VersionRecord): Promise<void> {
  if (record.state === "BLOCKED") return await takeOut(parts, [record]);
  const block = blockOf(await freshBlocks(parts.ledger, parts.now, SECOND_LOOK), record);
  // Something that needs it may be listed by now, so its zip goes with the block's second pass.
  if (block !== undefined) await refuseVersions(parts, [record], block);
}

/** What is not reached is ordered again by reconcile's next tick. */
async function dueAtOnce(parts: MirrorParts, version: ModuleVersion): Promise<void> {
  await updateRecords(parts.ledger, [version], (record) =>
    record?.state === "PENDING" ? { ...record, due: parts.now() } : undefined,
  );
}
