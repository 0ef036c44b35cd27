import { z } from "zod";
import { sha256Of } from "./body.ts";
import type { FeedTick } from "./feed.ts";
import { POLLS_PER_TICK, type PollRead, pollModules } from "./feed-poll.ts";
import { PollSchedule, readSchedule } from "./feed-schedule.ts";
import { backfillOf } from "./orders.ts";

const ITEM = "named-modules";
const KEY = "feeds/named.json.zst";

const shape = z.object({ subscriptions: z.string(), done: z.boolean() });

/**
 * For mirrors of an index without a poll feed: asks the lists of the modules that subscriptions name outright, each once,
 * and all once more where the subscriptions are others by now. An index says what is new; a subscription is meant for what
 * there is, too. The roots are the index feed's. Costs one read of an item where all have answered.
 * @param feed whose roots they are.
 * @returns undefined where there was nothing to do.
 */
export async function readNamedModules(tick: FeedTick, feed: string): Promise<PollRead | undefined> {
  const { parts, subscriptions } = tick;
  const { ledger, vault } = parts;
  const now = parts.now();
  const item = await ledger.readItem("control", ITEM);
  const known = shape.safeParse(item?.value).data;
  const digest = sha256Of(Buffer.from(subscriptions.fingerprint));
  const isSame = known?.subscriptions === digest;
  if (isSame && known.done) return undefined;
  const paths = subscriptions.exactPaths().filter((path) => subscriptions.of(path) !== undefined);
  if (known === undefined && paths.length === 0) return undefined;
  const schedule = isSame ? await readSchedule(vault, KEY) : new PollSchedule();
  for (const path of paths) schedule.add(path, now);
  const due = schedule.due(schedule.unanswered(), now);
  const chosen = due.slice(0, POLLS_PER_TICK);
  const result = await pollModules(tick, chosen, now, schedule, { feed, name: backfillOf(feed) });
  for (const path of result.partly) schedule.again(path);
  // A crash before it, or between the two, has some of them asked again.
  await schedule.write(vault, KEY);
  const value = { subscriptions: digest, done: schedule.unanswered().length === 0 };
  await ledger.writeItem({ kind: "control", name: ITEM, revision: item?.revision ?? 0, value });
  return {
    asked: chosen.length - result.unreached.length,
    found: result.found,
    later: result.partly.length,
    failed: result.failed.filter((failure) => failure.class !== "absent" && failure.class !== "withheld"),
    failing: schedule.failing().filter((path) => schedule.unanswered().includes(path)),
    unreached: result.unreached.length + due.length - chosen.length,
  };
}
