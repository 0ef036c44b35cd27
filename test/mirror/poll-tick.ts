import type { ModulePath } from "../../gomod/module-path.ts";
import type { PollRead } from "../../mirror/feed-poll.ts";
import type { MirrorParts } from "../../mirror/parts.ts";
import { type TickOptions, tick } from "../../mirror/tick.ts";
import { subscribed } from "./made-index.ts";

/** A tick of the poll feed alone, over all versions of these modules; `skipped` where another one is under way. */
export async function pollTick(
  parts: MirrorParts,
  modules: readonly ModulePath[],
  owner: string,
  options: TickOptions = {},
): Promise<PollRead | "skipped"> {
  const subscriptions = subscribed({ modules: [...modules], versions: "all" });
  const ticked = await tick(parts, { subscriptions, indexes: [], poll: {} }, owner, options);
  if (ticked.outcome === "skipped") return "skipped";
  if (ticked.outcome === "paused" || ticked.poll === undefined)
    throw new Error(`poll feed: ${ticked.outcome}`);
  return ticked.poll;
}
