import { z } from "zod";
import { misuse } from "../mirror/errors.ts";
import { approveList } from "../mirror/garbage/current-list.ts";
import { dropRequest } from "../mirror/garbage/drops.ts";
import { isRunName } from "../mirror/garbage/garbage-list.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import type { FunctionLog } from "./function-log.ts";

const by = z.string().min(1).max(200);

/** What an operator invokes collect with: `{"drop": "team/app", "by": …}`; whoever may invoke the function may do it. */
const shapes = {
  drop: z.strictObject({ drop: z.string().min(1).max(1_000), by }),
  /** A list's run, as the log's `garbage-stopped` names it. */
  approve: z.strictObject({ approve: z.string().max(100), by }),
};

/**
 * Obeys an operator's order, as `modferry gc --drop` and `--approve` do, and logs who gave it.
 * @returns whether the event was one; a schedule's is not.
 * @throws ZodError, or MirrorError misuse, saying what is wrong with it: the caller of the function is shown it.
 */
export async function obeyGarbageOrder(
  parts: Pick<MirrorParts, "vault" | "ledger" | "now">,
  log: Pick<FunctionLog, "write">,
  event: unknown,
): Promise<boolean> {
  if (typeof event !== "object" || event === null) return false;
  if ("drop" in event) {
    const order = shapes.drop.parse(event);
    const { at } = await dropRequest(parts, order.drop, order.by);
    const labels = { request: order.drop, at, by: order.by };
    log.write({ level: "warn", action: "drop-request", message: "operator has dropped a request", labels });
  } else if ("approve" in event) {
    const { approve: run, by: who } = shapes.approve.parse(event);
    if (!isRunName(run)) throw misuse(run, `approve: ${run}: not a run's name, such as 20260131T235959000Z`);
    const { versions, share } = await approveList(parts.ledger, run, who);
    const labels = { run, versions, share, by: who };
    log.write({ level: "warn", action: "approve-garbage", message: "operator has approved a list", labels });
  } else return false;
  return true;
}
