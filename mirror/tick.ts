import { acceptRequest } from "./accept.ts";
import type { FeedTick, IndexFeed, IndexRead } from "./feed.ts";
import { readIndexFeed } from "./feed-index.ts";
import { type PollRead, readPollFeed } from "./feed-poll.ts";
import type { RequestKey } from "./orders.ts";
import { type Deadline, type MirrorParts, noDeadline } from "./parts.ts";
import { type MaintenanceWindow, type Pause, readPause, readPauseUnder } from "./pause.ts";
import type { Subscriptions } from "./subscription.ts";
import { underLease } from "./tick-lease.ts";

/** What a configuration says of feeds. */
export interface FeedSettings {
  readonly subscriptions: Subscriptions;
  readonly indexes: readonly IndexFeed[];
  /** Left out: nothing is polled. */
  readonly poll?: { readonly modulesPerTick?: number };
  /** They replace those in the ledger; left out: what the ledger has holds. */
  readonly maintenance?: readonly MaintenanceWindow[];
}

export interface TickOptions {
  readonly deadline?: Deadline;
  /** Where an object in the inbox triggers by itself, nothing is left to do; else acceptRequest. */
  readonly accept?: (parts: MirrorParts, request: RequestKey) => Promise<void>;
}

export type Ticked =
  | { readonly outcome: "paused"; readonly pause: Pause }
  /** Another tick is under way. */
  | { readonly outcome: "skipped" }
  | { readonly outcome: "ticked"; readonly indexes: readonly IndexRead[]; readonly poll?: PollRead };

/**
 * One tick of all feeds, under a lease: what each has that is new becomes requests and records, then its watermark moves.
 * Nothing is fetched but the feeds. While the mirror is paused it does nothing but say so. A tick that ends early goes on
 * from its watermarks the next time.
 */
export async function tick(
  parts: MirrorParts,
  { subscriptions, indexes, poll, maintenance }: FeedSettings,
  owner: string,
  { deadline = noDeadline, accept = acceptRequest }: TickOptions = {},
): Promise<Ticked> {
  const pause =
    maintenance === undefined
      ? await readPause(parts.ledger, parts.now())
      : await readPauseUnder(parts.ledger, maintenance, parts.now());
  if (pause !== undefined) return { outcome: "paused", pause };
  const ticked = await underLease(parts, "plan", owner, async (keepLease): Promise<Ticked> => {
    const feedTick: FeedTick = { parts, subscriptions, deadline, accept, keepLease };
    const read: IndexRead[] = [];
    for (const index of indexes) read.push(await readIndexFeed(feedTick, index));
    const polled = poll === undefined ? {} : { poll: await readPollFeed(feedTick, poll.modulesPerTick) };
    return { outcome: "ticked", indexes: read, ...polled };
  });
  return ticked ?? { outcome: "skipped" };
}
