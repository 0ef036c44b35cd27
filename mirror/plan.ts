import type { ModulePath } from "../gomod/module-path.ts";
import { acceptRequest } from "./accept.ts";
import { pollModules } from "./feed-poll.ts";
import type { Watermark } from "./ledger-entries.ts";
import { POLL_FEED, type RequestKey } from "./orders.ts";
import { type Deadline, type MirrorParts, noDeadline } from "./parts.ts";
import { Subscriptions } from "./subscription.ts";
import { underLease } from "./tick-lease.ts";

export { TICK_LEASE } from "./tick-lease.ts";

/** The watermark of a feed that was never read to its end. */
const NEVER = "1970-01-01T00:00:00.000Z";

export interface PlanOptions {
  readonly deadline?: Deadline;
  /** Where an object in the inbox triggers by itself, nothing is left to do; else acceptRequest. */
  readonly accept?: (parts: MirrorParts, request: RequestKey) => Promise<void>;
}

export interface Planned {
  /** New versions handed in. */
  readonly found: number;
  readonly failed: readonly { readonly module: ModulePath; readonly message: string }[];
  /** Modules for which there was no time; the next tick begins with them. */
  readonly unreached: number;
  /** Another tick is under way. */
  readonly skipped: boolean;
}

/**
 * One tick of the poll feed over a plain list of modules, all of them each time: asks each module's `@v/list`, some at a
 * time, and hands in what is new as roots, each closed alone, then writes their records; at last it moves the watermark,
 * whose cursor says where the next tick begins. A module that fails is reported and never holds the others; its versions
 * are found by the next tick, for each tick reads whole lists. Dying anywhere, or running twice, hands in the same
 * versions once more and changes nothing else. (mirror/tick.ts has subscriptions, budgets and indexes.)
 */
export async function plan(
  parts: MirrorParts,
  modules: readonly ModulePath[],
  owner: string,
  { deadline = noDeadline, accept = acceptRequest }: PlanOptions = {},
): Promise<Planned> {
  const subscriptions = new Subscriptions(
    modules.map((path) => ({
      modules: [path],
      versions: "all",
      pseudoVersions: false,
      retracted: "keep",
      follow: "tidy",
    })),
  );
  const planned = await underLease(parts, "plan", owner, async (keepLease) => {
    const now = parts.now();
    const watermark = await parts.ledger.readWatermark(POLL_FEED);
    const tick = { parts, subscriptions, deadline, accept, keepLease };
    const { found, failed, unreached } = await pollModules(tick, startingAt(modules, watermark?.cursor), now);
    await moveWatermark(parts, now, watermark, unreached[0]);
    return { found, failed, unreached: unreached.length, skipped: false };
  });
  return planned ?? { found: 0, failed: [], unreached: 0, skipped: true };
}

/** All modules, beginning with the one that the last tick did not reach. */
function startingAt(modules: readonly ModulePath[], cursor: string | undefined): readonly ModulePath[] {
  const first = Math.max(
    0,
    modules.findIndex((module) => String(module) === cursor),
  );
  return [...modules.slice(first), ...modules.slice(0, first)];
}

/** The stamp is that of the last tick which reached every module. */
async function moveWatermark(
  parts: MirrorParts,
  now: number,
  previous: Watermark | undefined,
  cursor: string | undefined,
): Promise<void> {
  const timestamp = cursor === undefined ? new Date(now).toISOString() : (previous?.timestamp ?? NEVER);
  await parts.ledger.moveWatermark({
    feed: POLL_FEED,
    timestamp,
    ...(cursor === undefined ? {} : { cursor }),
    revision: previous?.revision ?? 0,
  });
}
