import type { Context } from "aws-lambda";
import { collectTick } from "../mirror/garbage/schedule.ts";
import { garbageSettings } from "../mirror/garbage/settings.ts";
import { Subscriptions } from "../mirror/subscription.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { obeyGarbageOrder } from "./garbage-order.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);
const { engine } = environment;
const settings = garbageSettings(engine.garbage, engine.snapshots?.keep);
const subscriptions = new Subscriptions(engine.subscriptions);

/**
 * One run of garbage collection; what there is no time for is done by the next. An operator's order counts for this run
 * (functions/garbage-order.ts).
 */
export const handler = (event: unknown, context: Context): Promise<void> =>
  log.call(async () => {
    await obeyGarbageOrder(parts, log, event);
    const provable = (path: Parameters<typeof parts.databasesFor>[0]) => parts.databasesFor(path).length > 0;
    const done = await collectTick(
      { ...parts, provable },
      { settings, subscriptions, owner, onlyWriter: false, deadline: deadlineOf(context) },
    );
    log.metrics.add("VersionsCollected", "Count", done.deleted.versions);
    log.metrics.add("BytesCollected", "Bytes", done.deleted.bytes);
    const labels = {
      outcome: done.outcome,
      deleted: done.deleted.versions,
      deleted_bytes: done.deleted.bytes,
      removing: done.removing,
      kept: done.kept,
      ended: done.ended,
      expired: done.expired.length,
      listed: done.list?.versions ?? 0,
      listed_bytes: done.list?.bytes ?? 0,
      dollars_saved: done.dollars.deleted,
      forgotten_versions: done.forgotten.versions,
      forgotten_requests: done.forgotten.requests,
      unfinished: done.unfinished,
    };
    log.write({ level: "info", action: "collected", message: "garbage is collected", labels });
  });
