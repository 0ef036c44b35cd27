import { z } from "zod";
import { parseModuleVersion } from "../gomod/version.ts";
import { block } from "../mirror/block.ts";
import { blockName } from "../mirror/blocks.ts";
import type { Deadline, MirrorParts } from "../mirror/parts.ts";
import { liftPause, setPause } from "../mirror/pause.ts";
import { reasonText } from "../mirror/policy-settings.ts";
import { resolveConflict } from "../mirror/resolve-conflict.ts";
import { retry } from "../mirror/retry.ts";
import { unblock } from "../mirror/unblock.ts";
import type { FunctionLog } from "./function-log.ts";

const by = z.string().min(1).max(200);

/**
 * What an operator invokes reconcile with (docs/deploy.md, Operations): `{"block": "example.com/a@v1.0.0", "reason": …,
 * "by": …}`, and so on; whoever may invoke the function may do it.
 */
const shapes = {
  block: z.strictObject({ block: z.string(), reason: reasonText, by }),
  unblock: z.strictObject({ unblock: z.string(), by }),
  /** A pattern, or `*` for all. */
  retry: z.strictObject({ retry: z.string(), by }),
  /** A version in CONFLICT that no checksum database covers, and how it is settled (mirror/resolve-conflict.ts). */
  resolveConflict: z.strictObject({
    resolveConflict: z.string(),
    resolution: z.enum(["keep", "take"]),
    reason: reasonText,
    by,
  }),
  /** Until when, RFC 3339. */
  pause: z.strictObject({ pause: z.iso.datetime({ offset: true }), reason: reasonText, by }),
  resume: z.strictObject({ resume: z.literal(true), by }),
};

/**
 * Obeys an operator's order, and logs who gave it.
 * @returns whether the event was one; a schedule's is not.
 * @throws ZodError, or MirrorError misuse, saying what is wrong with it: the caller of the function is shown it.
 */
export async function obey(
  parts: MirrorParts,
  log: FunctionLog,
  event: unknown,
  deadline: Deadline,
): Promise<boolean> {
  if (typeof event !== "object" || event === null) return false;
  const told = (
    action: string,
    message: string,
    labels: Readonly<Record<string, string | number | boolean>>,
  ) => log.write({ level: "warn", action, message, labels });
  if ("block" in event) {
    const order = shapes.block.parse(event);
    const name = blockName(order.block);
    const done = await block(parts, name, order.reason, order.by, deadline);
    told("block", "operator has blocked", { ...done, name, by: order.by });
  } else if ("unblock" in event) {
    const order = shapes.unblock.parse(event);
    const name = blockName(order.unblock);
    const done = await unblock(parts, name, order.by, deadline);
    told("unblock", "operator has lifted a block", { ...done, name, by: order.by });
  } else if ("retry" in event) {
    const order = shapes.retry.parse(event);
    const provable = (path: Parameters<typeof parts.databasesFor>[0]) => parts.databasesFor(path).length > 0;
    const pattern = order.retry === "*" ? undefined : order.retry;
    const done = await retry({ ...parts, provable, knowsCoverage: true }, pattern);
    told("retry", "operator has made work due", { ...done, pattern: order.retry, by: order.by });
  } else if ("resolveConflict" in event) {
    const { resolveConflict: name, resolution, reason, by: who } = shapes.resolveConflict.parse(event);
    const provable = (path: Parameters<typeof parts.databasesFor>[0]) => parts.databasesFor(path).length > 0;
    const version = parseModuleVersion(name);
    const state = await resolveConflict({ ...parts, provable }, version, resolution, { by: who, reason });
    told("resolve-conflict", "operator has settled a conflict", { name, resolution, state, by: who });
  } else if ("pause" in event) {
    const order = shapes.pause.parse(event);
    await setPause(parts.ledger, { until: Date.parse(order.pause), reason: order.reason, by: order.by });
    told("pause", "operator has paused the feeds", { until: order.pause, by: order.by });
  } else if ("resume" in event) {
    const order = shapes.resume.parse(event);
    const wasPaused = await liftPause(parts.ledger);
    told("resume", "operator has ended the pause", { wasPaused, by: order.by });
  } else return false;
  return true;
}
