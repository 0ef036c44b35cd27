import { hostname, userInfo } from "node:os";
import { acceptRequest } from "../mirror/accept.ts";
import { advanceHeads, reportStops, stoppedDatabases } from "../mirror/advance-heads.ts";
import { completeTiles } from "../mirror/complete-tiles.ts";
import { evidenceKey, liftStop, reviveStopped } from "../mirror/fork-stop.ts";
import { handIn } from "../mirror/inbox.ts";
import { acceptInbox } from "../mirror/inbox-scan.ts";
import type { RequestKey } from "../mirror/orders.ts";
import { type MirrorParts, noDeadline } from "../mirror/parts.ts";
import { type Reconciled, reconcile } from "../mirror/reconcile.ts";
import type { State } from "../mirror/records.ts";
import type { RequestBody } from "../mirror/requests.ts";
import { type Missing, missingOf, settle } from "../mirror/settle.ts";
import { problemOf, tick } from "../mirror/tick.ts";
import { noteTick } from "../mirror/ticks.ts";
import { currentTrace, newTraceId, withTrace } from "../mirror/trace.ts";
import { tendUpstreams } from "../mirror/upstream-recovery.ts";
import { stoppedUpstreams } from "../mirror/upstream-stop.ts";
import { work } from "../mirror/work.ts";
import type { EmbeddedMirror } from "./embedded.ts";
import { sayFeeds } from "./feed-lines.ts";
import { printMissing } from "./missing-table.ts";
import { inTurnByModule } from "./module-turns.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { sayProblem } from "./problem.ts";
import type { SyncProgress } from "./progress.ts";

/** Orders worked on at a time: most of an order's time is waiting for upstream and for fsync. */
const ORDERS_AT_ONCE = 24;

/** What one round of a sync is asked for. */
export interface Round {
  /** Requests to be handed in and worked on to their end. */
  readonly bodies: readonly RequestBody[];
  /** What they are handed in under. */
  readonly name: string;
  /** The first of this process: whatever is under way was left behind. */
  readonly isFirst: boolean;
}

/**
 * What earlier runs left; then, where there is a configuration, its feeds and what others have put into the inbox; then
 * the requests.
 * @returns how many things are missing, stopped or wrong.
 */
export async function syncRound(
  mirror: EmbeddedMirror,
  round: Round,
  options: Options,
  output: Output,
  progress: SyncProgress,
): Promise<number> {
  const { parts } = mirror;
  const since = parts.now();
  // What failed in an outage that has ended is due, and taken on with the rest.
  await tendUpstreams(parts);
  const left = await revive(mirror, round, since, output);
  await advance(mirror, output);
  // What waits for tiles would fail now. What is wrong with them is said at the end, when it was tried once more.
  await completeTiles(mirror.databases);
  const told = new Set<string>();
  const { found, problems: unread, later } = await readFeeds(mirror, told, output);
  await acceptWaiting(mirror, output);
  await workOff(mirror);
  found.push(...(await readLater(mirror, later, told, output)));
  if (left.orders > 0 || left.isFull) await reviveRest(mirror, round, since, output);
  progress.beginRequest();
  const missing: Missing[] = [];
  for (const body of round.bodies) missing.push(...(await mirrorRequest(mirror, round.name, body)));
  const incomplete = await fillTiles(mirror, options, output);
  const unserved = await unservedOf(parts, found);
  progress.end(missing, unserved);
  if (missing.length > 0) printMissing(missing, output, options.json);
  sayUnserved(unserved, output);
  const stopped = await stoppedDatabases(parts, mirror.databases);
  for (const line of stopped) output.error(`modferry: checksum database ${oneLine(line)}`);
  const refusing = await stoppedUpstreams(parts.ledger);
  for (const { host, reason } of refusing)
    output.error(`modferry: upstream ${oneLine(host)} refuses us and is not asked: ${oneLine(reason)}`);
  return missing.length + stopped.length + refusing.length + incomplete + unread + unserved.length;
}

/** One tick's part of what earlier runs left. */
async function revive(
  { parts, owner }: EmbeddedMirror,
  { isFirst }: Round,
  since: number,
  output: Output,
): Promise<Reconciled> {
  const look = () => reconcile(parts, { onlyWriter: isFirst, owner, since });
  const reconciled = await noteTick(parts, "reconcile", look);
  for (const problem of reconciled.failed)
    sayProblem(output, {
      action: "request-not-revived",
      message: "request could not be revived",
      thrown: problem,
      prefix: "from an earlier run",
    });
  return reconciled;
}

/**
 * A run that died may have left more than one tick takes on; and orders that nobody closes any more, so that what they
 * were of is settled only by one more look, when the rest is done.
 */
async function reviveRest(
  mirror: EmbeddedMirror,
  round: Round,
  began: number,
  output: Output,
): Promise<void> {
  for (const since of [() => began, mirror.parts.now]) {
    const at = since();
    for (let more = true; more; ) {
      more = (await revive(mirror, round, at, output)).isFull;
      await workOff(mirror);
    }
  }
}

/** Accepts what others have handed in, and works on it. @returns whether there was anything. */
export async function acceptWaiting(mirror: EmbeddedMirror, output: Output): Promise<boolean> {
  if (mirror.feeds === undefined) return false;
  const { accepted, refused } = await acceptInbox(mirror.parts);
  for (const { error } of refused)
    sayProblem(output, {
      action: "request-refused",
      message: "request in the inbox is refused",
      thrown: error,
      prefix: "refused",
    });
  return accepted > 0;
}

/** Does every order that is in the queue, and those that come of them. */
export async function workOff({ parts, queue }: EmbeddedMirror): Promise<void> {
  // What others handed in says under which trace; all else is of this round.
  const handle = inTurnByModule((order) =>
    withTrace(order.trace ?? currentTrace() ?? newTraceId(), () => work(parts, order, noDeadline)),
  );
  await queue.drain(handle, { concurrency: ORDERS_AT_ONCE });
}

/** What reading the feeds has brought. */
interface FeedsRead {
  /** How many feeds and modules could not be read. */
  readonly problems: number;
  /** The requests that were made of what they found. */
  readonly found: RequestKey[];
  /** How much of it waits for a go.mod that says what is retracted. */
  readonly later: number;
}

/** Each time a highest version that cannot be had makes room for the next: so many times in one round at most. */
const MOST_LATER = 8;

/**
 * Where retracted versions are skipped, a highest version's go.mod says which: it was ordered alone, and is here by now,
 * so that the others are handed in at once. @returns the requests of what was found.
 */
async function readLater(
  mirror: EmbeddedMirror,
  later: number,
  told: Set<string>,
  output: Output,
): Promise<RequestKey[]> {
  const found: RequestKey[] = [];
  for (let left = later, time = 0; left > 0 && time < MOST_LATER; time++) {
    const read = await readFeeds(mirror, told, output);
    if (read.found.length === 0) break;
    found.push(...read.found);
    await workOff(mirror);
    left = read.later;
  }
  return found;
}

/** One tick of the feeds. @param told what of it needs not be told again. */
async function readFeeds(
  { parts, feeds, owner }: EmbeddedMirror,
  told: Set<string>,
  output: Output,
): Promise<FeedsRead> {
  const found: RequestKey[] = [];
  const nothing = { problems: 0, found, later: 0 };
  if (feeds === undefined) return nothing;
  const accept: typeof acceptRequest = async (through, request) => {
    found.push(request);
    await acceptRequest(through, request);
  };
  const ticked = await noteTick(
    parts,
    "plan",
    () => tick(parts, feeds, owner, { accept }),
    ({ outcome }) => outcome === "skipped",
    problemOf,
  );
  if (ticked.outcome === "paused") {
    const { until, reason } = ticked.pause;
    const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`;
    if (output.log === undefined) output.error(`modferry: paused${end}: ${oneLine(reason)}`);
    else
      output.log({
        level: "info",
        action: "paused",
        message: "feeds are not read",
        labels: { ...ticked.pause },
      });
    return nothing;
  }
  if (ticked.outcome === "skipped") return nothing;
  const read = [...ticked.indexes, ticked.poll, ticked.named];
  const later = read.reduce((sum, one) => sum + (one?.later ?? 0), 0);
  return { problems: sayFeeds(ticked, output, told), found, later };
}

/** What keeps out by design is no failure: what is too young comes by itself, and the others a person has kept out. */
const KEPT_OUT: readonly string[] = ["HELD", "DENIED", "BLOCKED"] satisfies State[];

/** What these requests of feeds lack now, each once. */
async function unservedOf(parts: MirrorParts, found: readonly RequestKey[]): Promise<Missing[]> {
  const unserved = new Map<string, Missing>();
  for (const request of found) {
    const record = await parts.ledger.readRequest(request);
    if (record === undefined || record.state === "DONE" || record.state === "ENDED") continue;
    if (record.state === "REFUSED" || record.state === "OPEN") {
      const subject = `request ${request.name}/${request.time}`;
      unserved.set(subject, { subject, state: record.state, message: record.error ?? "not resolved" });
      continue;
    }
    for (const missing of await missingOf(parts, request))
      if (!KEPT_OUT.includes(missing.state)) unserved.set(missing.subject, missing);
  }
  return [...unserved.values()];
}

/** As many are named in a line; `modferry status` has them all. */
const MOST_SAID = 5;

function sayUnserved(unserved: readonly Missing[], output: Output): void {
  if (unserved.length === 0) return;
  const names = unserved.slice(0, MOST_SAID).map(({ subject, state }) => `${subject} (${state})`);
  const more = unserved.length > MOST_SAID ? `, and ${unserved.length - MOST_SAID} more` : "";
  const are = unserved.length === 1 ? "one thing is" : `${unserved.length} are`;
  output.error(
    oneLine(
      `modferry: of what the feeds found ${are} not served: ${names.join(", ")}${more}; see \`modferry status\``,
    ),
  );
}

/** Hands a request in and works on it until nothing is left to do now. @returns what is missing. */
async function mirrorRequest(mirror: EmbeddedMirror, name: string, body: RequestBody): Promise<Missing[]> {
  const request = await handIn(mirror.parts, name, body);
  await acceptRequest(mirror.parts, request);
  await workOff(mirror);
  return await settleIfLeft(mirror, request);
}

/** A head that cannot be had now need not stop the run; what is stopped is said at the end. */
async function advance({ parts, databases }: EmbeddedMirror, output: Output): Promise<void> {
  await reportStops(parts, databases);
  for (const { database, error } of await advanceHeads(parts, databases))
    if (error.class !== "stopped")
      sayProblem(output, {
        action: "head-not-advanced",
        message: "checksum database has no newer head for us",
        thrown: error,
        prefix: "checksum database",
        labels: { database },
      });
}

/** Only then may clients ask this mirror for proofs. @returns of how many databases tiles are missing. */
async function fillTiles({ databases }: EmbeddedMirror, options: Options, output: Output): Promise<number> {
  if (options.refillTiles) for (const database of databases) await database.refill();
  const incomplete = await completeTiles(databases);
  for (const { database, error } of incomplete)
    if (error !== undefined && error.class !== "stopped")
      sayProblem(output, {
        action: "tiles-not-complete",
        message: "tiles of the checksum database are not all held",
        thrown: error,
        prefix: "checksum database tiles",
        labels: { database },
      });
  return incomplete.length;
}

/** Says who lets a stopped database go on, and has tried again at once what waits for it. */
export async function clearFork({ parts }: EmbeddedMirror, database: string, output: Output): Promise<void> {
  const stop = await liftStop(parts, database, `${userInfo().username}@${hostname()}`);
  const waiting = await reviveStopped(parts);
  const evidence = `${evidenceKey(stop)} stays in the vault`;
  output.error(
    `modferry: ${database}: goes on; ${evidence}; ${waiting} versions that waited are tried again`,
  );
}

/** Settling once more also says what is missing. */
async function settleIfLeft(mirror: EmbeddedMirror, request: RequestKey): Promise<Missing[]> {
  const record = await mirror.parts.ledger.readRequest(request);
  if (record?.state === "REFUSED") {
    return [{ subject: "request", state: "REFUSED", message: record.error ?? "refused" }];
  }
  return await settle(mirror.parts, request);
}
