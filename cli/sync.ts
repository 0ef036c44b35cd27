import { readWishes } from "../adapters/local/read-wishes.ts";
import { acceptRequest } from "../mirror/accept.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { handIn } from "../mirror/inbox.ts";
import type { RequestKey } from "../mirror/orders.ts";
import { noDeadline } from "../mirror/parts.ts";
import { reconcile } from "../mirror/reconcile.ts";
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
 * @returns the exit status: 1 when something asked for is not served, with the table of what and why.
 */
export async function sync(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const body = await readWishes(options.arguments, options, output.stdin);
  const progress = new SyncProgress(output, options.json);
  const mirror = await openEmbedded(options, environment, (event) => progress.take(event));
  try {
    const { failed } = await reconcile(mirror.parts, { onlyWriter: true });
    for (const problem of failed) output.error(`modferry: from an earlier run: ${oneLine(problem)}`);
    await advanceHead(mirror, output);
    await workOff(mirror);
    const request = await handIn(mirror.parts, REQUEST_NAME, body);
    await acceptRequest(mirror.parts, request);
    await workOff(mirror);
    const missing = await settleIfLeft(mirror, request);
    progress.end();
    if (missing.length === 0) return 0;
    printMissing(missing, output, options.json);
    return 1;
  } finally {
    await mirror.close();
  }
}

/** Does every order that is in the queue, and those that come of them. */
async function workOff({ parts, queue }: EmbeddedMirror): Promise<void> {
  const handle = inTurnByModule((order) => work(parts, order, noDeadline));
  await queue.drain(handle, { concurrency: ORDERS_AT_ONCE });
}

/** A head that cannot be had now need not stop the run: records are proven under the last one where they can be. */
async function advanceHead(mirror: EmbeddedMirror, output: Output): Promise<void> {
  // Without a head so far, the first record to be proven brings one; and perhaps no database covers anything here.
  if ((await mirror.parts.ledger.readHead(mirror.database.name)) === undefined) return;
  try {
    await mirror.database.advance();
  } catch (thrown) {
    const error = asMirrorError(thrown, mirror.database.name);
    if (error.class === "mismatch") throw error;
    output.error(`modferry: checksum database: ${error.message}`);
  }
}

/** Settling once more also says what is missing. */
async function settleIfLeft(mirror: EmbeddedMirror, request: RequestKey): Promise<Missing[]> {
  const record = await mirror.parts.ledger.readRequest(request);
  if (record?.state === "REFUSED") {
    return [{ subject: "request", state: "REFUSED", message: record.error ?? "refused" }];
  }
  return await settle(mirror.parts, request);
}
