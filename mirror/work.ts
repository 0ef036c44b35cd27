import pLimit from "p-limit";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { refuse } from "./accept.ts";
import { asMirrorError } from "./errors.ts";
import { keepEvidence } from "./evidence.ts";
import { fetchVersion } from "./fetch.ts";
import { OutOfTime, TIME_TO_CLOSE } from "./go-mod-loader.ts";
import type { FetchOrder, Order, ResolveOrder } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import { ensureList } from "./publish.ts";
import { covers, failed, fetched, type VersionRecord } from "./records.ts";
import { resolveRequest } from "./resolve.ts";
import { settle } from "./settle.ts";
import { updateRecords, updateRequest } from "./update.ts";

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
  try {
    await resolveRequest(parts, order.request, deadline);
  } catch (thrown) {
    const error = asMirrorError(thrown, `request ${order.request.name}/${order.request.time}`);
    if (error.class === "misuse") await refuse(parts, order.request, error);
    else if (thrown instanceof OutOfTime) await dueNow(parts, order);
    else throw error;
  }
}

/** What is loaded so far is held: reconcile's next tick goes on from there. */
async function dueNow(parts: MirrorParts, order: ResolveOrder): Promise<void> {
  await updateRequest(parts.ledger, order.request, (record) =>
    record === undefined ? undefined : { ...record, due: parts.now() },
  );
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
  await Promise.all(
    records.map((record) => limit(() => record && fetchRecord(parts, record, deadline, listThere))),
  );
  if (order.request === undefined || order.number === undefined) return;
  const { open } = await parts.ledger.closeOrder(order.request, order.number);
  if (open === 0) await settle(parts, order.request);
}

async function fetchRecord(
  parts: MirrorParts,
  record: VersionRecord,
  deadline: Deadline,
  listThere: () => Promise<void>,
): Promise<void> {
  if (covers(record.held, record.wanted)) return;
  // What is not reached stays due: reconcile orders it again.
  if (deadline.remaining() < TIME_TO_CLOSE) return;
  const version: ModuleVersion = { path: record.path, version: record.version };
  try {
    const { added, bytes } = await fetchVersion(parts, record);
    // Before the record: nothing is ordered again for one that says whole, so a crash here must not leave it without.
    if (added.held === "whole") await listThere();
    await updateRecords(
      parts.ledger,
      [version],
      (current) => (current === undefined ? undefined : fetched(current, added)),
      (next) => (next.held === "whole" ? { event: "held", version, at: parts.now() } : undefined),
    );
    parts.report({ event: "fetched", version, held: added.held === "whole" ? "whole" : "mod", bytes });
  } catch (thrown) {
    await noteFailure(parts, version, thrown);
  }
}

async function noteFailure(parts: MirrorParts, version: ModuleVersion, thrown: unknown): Promise<void> {
  const error = asMirrorError(thrown, formatModuleVersion(version));
  await keepEvidence(parts.vault, error);
  const [record] = await updateRecords(parts.ledger, [version], (current) =>
    current === undefined || covers(current.held, current.wanted)
      ? undefined
      : failed(current, error, parts.now()),
  );
  if (record === undefined) return;
  parts.report({ event: "failed", version, state: record.state, class: error.class, message: error.message });
}
