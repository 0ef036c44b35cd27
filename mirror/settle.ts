import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type Version } from "../gomod/version.ts";
import { noteAwaited } from "./awaited-roots.ts";
import { type ClosureFile, readClosure } from "./closure-file.ts";
import { FIRST_WAIT, LONGEST_WAIT } from "./failed-record.ts";
import { isHeld, lateGoMods, type Missing, missingIn, type Records, recordsOf } from "./missing.ts";
import { queueOf, type RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import { publish } from "./publish.ts";
import { ORDER_LOST_AFTER } from "./records.ts";
import { handedInAt, type RequestRecord } from "./requests.ts";
import { contended, MOST_RACES } from "./update.ts";

export { type Missing, missingOf } from "./missing.ts";

type SettleParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "now" | "report">;

/** How many lists are published at a time. */
const LISTS_AT_ONCE = 16;

/**
 * Looks how far a request has come: lists every root whose closure is held, and notes the request as DONE, as RESOLVED
 * while some of it is being fetched, or as INCOMPLETE and due again when the first missing version is. Where a go.mod
 * has come that the graph was loaded without, it is resolved again. May run at any time, twice, or at once.
 * @param relist look whether lists have what the ledger says they have, too.
 */
export async function settle(parts: SettleParts, request: RequestKey, relist = false): Promise<Missing[]> {
  for (let race = 0; race < MOST_RACES; race++) {
    // Read first: a resolution that is done in the meantime has another closure, and has changed this.
    const before = await parts.ledger.readRequest(request);
    // Nobody wants it any more, and its closure may be gone.
    if (before?.state === "ENDED") return [];
    const closure = await readClosure(parts.vault, request);
    const records = await recordsOf(parts, closure.needs);
    await listRoots(parts, closure, records, relist);
    const missing = await missingIn(parts, request, closure, records);
    // OPEN: it is being resolved, and settled after that.
    if (before === undefined || before.state === "OPEN" || before.state === "REFUSED") return missing;
    await noteAwaited(parts, request, closure, records);
    const after = settled(before, closure, records, missing, parts.now());
    if ((await parts.ledger.writeRequest(after)) === "changed") continue;
    parts.report({ event: "settled", request, total: closure.needs.length, missing: missing.length });
    // A crash here leaves it OPEN, and due.
    if (after.state === "OPEN") await parts.queue.send(queueOf(request), [{ kind: "resolve", request }]);
    return missing;
  }
  throw contended(`request ${request.name}/${request.time}`);
}

function settled(
  before: RequestRecord,
  closure: ClosureFile,
  records: Records,
  missing: readonly Missing[],
  now: number,
): RequestRecord {
  const { due: _due, ...rest } = before;
  const counts = { total: closure.needs.length, missing: missing.length };
  if (missing.length === 0) return { ...rest, ...counts, state: "DONE" };
  if (lateGoMods(closure, records).length > 0)
    return { ...rest, ...counts, state: "OPEN", due: now + ORDER_LOST_AFTER };
  const state = missing.some((entry) => entry.state === "PENDING") ? "RESOLVED" : "INCOMPLETE";
  const due = soonest(before, closure, missing, now);
  return { ...rest, ...counts, state, ...(due === undefined ? {} : { due }) };
}

/** When it is next worth a look; undefined when only a person can help. */
function soonest(
  request: RequestKey,
  closure: ClosureFile,
  missing: readonly Missing[],
  now: number,
): number | undefined {
  const dues = missing.map((entry) => entry.due).filter((due) => due !== undefined);
  // What has no record has no count of attempts either, and what policy or a block keeps out comes back without a time:
  // the wait doubles with the request's age.
  const untimed = missing.some(
    ({ state, due }) => due === undefined && (state === "DENIED" || state === "BLOCKED"),
  );
  if (untimed || closure.unresolved.some((entry) => entry.class !== "misuse"))
    dues.push(now + Math.min(LONGEST_WAIT, Math.max(FIRST_WAIT, now - handedInAt(request))));
  return dues.length === 0 ? undefined : Math.min(...dues);
}

/** One module's list that cannot be written stops none of the others. @throws the first of what went wrong. */
async function listRoots(
  parts: SettleParts,
  closure: ClosureFile,
  records: Records,
  relist: boolean,
): Promise<void> {
  const byPath = new Map<ModulePath, Version[]>();
  for (const { root, needs } of closure.roots) {
    if (!relist && records.get(formatModuleVersion(root))?.listed === true) continue;
    if (!needs.every((need) => isHeld(need, records))) continue;
    const versions = byPath.get(root.path);
    if (versions === undefined) byPath.set(root.path, [root.version]);
    else versions.push(root.version);
  }
  const lists = [...byPath];
  const failures: unknown[] = [];
  for (let at = 0; at < lists.length; at += LISTS_AT_ONCE) {
    const some = lists.slice(at, at + LISTS_AT_ONCE);
    const results = await Promise.allSettled(some.map(([path, versions]) => publish(parts, path, versions)));
    failures.push(...results.flatMap((result) => (result.status === "rejected" ? [result.reason] : [])));
  }
  if (failures.length > 0) throw failures[0];
}
