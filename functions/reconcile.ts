import type { Context } from "aws-lambda";
import { reportStops } from "../mirror/advance-heads.ts";
import { reconcileTick } from "../mirror/reconcile.ts";
import { noteTick } from "../mirror/ticks.ts";
import { tendUpstreams } from "../mirror/upstream-recovery.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { obey } from "./operator-order.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);

/** Sends again what is due or was lost; and says again what is stopped, for the alarm (infra/event-alarm.ts). */
export const handler = (event: unknown, context: Context): Promise<void> =>
  log.call(async () => {
    // What it makes due is ordered by this tick or the next.
    const deadline = deadlineOf(context);
    await obey(parts, log, event, deadline);
    await reportStops(parts, parts.databases);
    await tendUpstreams(parts);
    const { orders, failed, skipped } = await noteTick(
      parts,
      "reconcile",
      () => reconcileTick(parts, owner, deadline),
      ({ skipped }) => skipped,
    );
    for (const problem of failed)
      log.failure("request-not-revived", "request could not be revived", new Error(problem));
    log.metrics.add("OrdersSent", "Count", orders);
    const labels = { orders, failed: failed.length, skipped };
    log.write({ level: "info", action: "reconciled", message: "what is due is ordered", labels });
  });
