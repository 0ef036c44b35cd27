import { hostname, userInfo } from "node:os";
import { readWishes } from "../adapters/local/read-wishes.ts";
import { acceptRequest } from "../mirror/accept.ts";
import { advanceHeads, reportStops, stoppedDatabases } from "../mirror/advance-heads.ts";
import { completeTiles } from "../mirror/complete-tiles.ts";
import { evidenceKey, liftStop, reviveStopped } from "../mirror/fork-stop.ts";
import { handIn } from "../mirror/inbox.ts";
import type { RequestKey } from "../mirror/orders.ts";
import { noDeadline } from "../mirror/parts.ts";
import { reconcile } from "../mirror/reconcile.ts";
import type { RequestBody } from "../mirror/requests.ts";
import { type Missing, settle } from "../mirror/settle.ts";
import { work } from "../mirror/work.ts";
import { type EmbeddedMirror, openEmbedded } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { printMissing } from "./missing-table.ts";
import { inTurnByModule } from "./module-turns.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { SyncProgress } from "./progress.ts";

/** Orders worked on at a time: most of an order's time is waiting for upstream and for fsync. */
const ORDERS_AT_ONCE = 24;
/** The name of requests that `modferry sync` makes. */
const REQUEST_NAME = "sync";

/**
 * `modferry sync`: what earlier runs left, then the wishes.
 * @returns the exit status: 1 when something asked for is not served, with the table of what and why, or when a checksum
 * database is stopped.
 */
export async function sync(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  // A stop may be lifted for what waits for it, with no wish of its own.
  const onlyClears = options.clearFork !== undefined && options.arguments.length === 0;
  const body = onlyClears ? undefined : await readWishes(options.arguments, options, output.stdin);
  return await syncRequest(body, REQUEST_NAME, options, environment, output);
}

/** As sync, for a request that is put together already, or for none; `name` is what it is handed in under. */
export async function syncRequest(
  body: RequestBody | undefined,
  name: string,
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const progress = new SyncProgress(output, options.json);
  const mirror = await openEmbedded(options, environment, (event) => progress.take(event));
  try {
    if (options.clearFork !== undefined) await clearFork(mirror, options.clearFork, output);
    const { failed } = await reconcile(mirror.parts, { onlyWriter: true });
    for (const problem of failed) output.error(`modferry: from an earlier run: ${oneLine(problem)}`);
    await advance(mirror, output);
    // What waits for tiles would fail now. What is wrong with them is said at the end, when it was tried once more.
    await completeTiles(mirror.databases);
    await workOff(mirror);
    const missing = body === undefined ? [] : await mirrorRequest(mirror, name, body);
    const incomplete = await fillTiles(mirror, options, output);
    progress.end();
    if (missing.length > 0) printMissing(missing, output, options.json);
    const stopped = await stoppedDatabases(mirror.parts, mirror.databases);
    for (const line of stopped) output.error(`modferry: checksum database ${oneLine(line)}`);
    return missing.length + stopped.length + incomplete === 0 ? 0 : 1;
  } finally {
    await mirror.close();
  }
}

/** Hands a request in and works on it until nothing is left to do now. @returns what is missing. */
async function mirrorRequest(mirror: EmbeddedMirror, name: string, body: RequestBody): Promise<Missing[]> {
  const request = await handIn(mirror.parts, name, body);
  await acceptRequest(mirror.parts, request);
  await workOff(mirror);
  return await settleIfLeft(mirror, request);
}

/** Does every order that is in the queue, and those that come of them. */
async function workOff({ parts, queue }: EmbeddedMirror): Promise<void> {
  const handle = inTurnByModule((order) => work(parts, order, noDeadline));
  await queue.drain(handle, { concurrency: ORDERS_AT_ONCE });
}

/** A head that cannot be had now need not stop the run; what is stopped is said at the end. */
async function advance({ parts, databases }: EmbeddedMirror, output: Output): Promise<void> {
  await reportStops(parts, databases);
  for (const { error } of await advanceHeads(parts, databases))
    if (error.class !== "stopped") output.error(`modferry: checksum database: ${oneLine(error.message)}`);
}

/** Only then may clients ask this mirror for proofs. @returns of how many databases tiles are missing. */
async function fillTiles({ databases }: EmbeddedMirror, options: Options, output: Output): Promise<number> {
  if (options.refillTiles) for (const database of databases) await database.refill();
  const incomplete = await completeTiles(databases);
  for (const { error } of incomplete)
    if (error !== undefined && error.class !== "stopped")
      output.error(`modferry: checksum database tiles: ${oneLine(error.message)}`);
  return incomplete.length;
}

/** Says who lets a stopped database go on, and has tried again at once what waits for it. */
async function clearFork({ parts }: EmbeddedMirror, database: string, output: Output): Promise<void> {
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
