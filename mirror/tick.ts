import { acceptRequest } from "./accept.ts";
import { partOf, TIME_TO_CLOSE } from "./deadline.ts";
import type { FeedTick, IndexFeed, IndexRead } from "./feed.ts";
import { readIndexFeed } from "./feed-index.ts";
import { readNamedModules } from "./feed-named.ts";
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
  | {
      readonly outcome: "ticked";
      readonly indexes: readonly IndexRead[];
      readonly poll?: PollRead;
      readonly named?: PollRead;
    };

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
    const feedTick = { parts, subscriptions, accept, keepLease };
    // The others' time is theirs, however far behind one of them is.
    let left = indexes.length + 1;
    const share = (): FeedTick => ({ ...feedTick, deadline: partOf(deadline, 1 / Math.max(1, left--)) });
    const read: IndexRead[] = [];
    for (const index of indexes) read.push(await readIndexFeed(share(), index));
    const polled = poll === undefined ? {} : { poll: await readPollFeed(share(), poll.modulesPerTick) };
    // A poll feed asks all that is named.
    const [first] = indexes;
    const named = poll || first === undefined ? undefined : await readNamedModules(share(), first.name);
    await readOn({ ...feedTick, deadline }, indexes, read);
    return { outcome: "ticked", indexes: read, ...polled, ...(named && { named }) };
  });
  return ticked ?? { outcome: "skipped" };
}

/** Gives those that are not at their end what time the others have left, in turn. */
async function readOn(tick: FeedTick, indexes: readonly IndexFeed[], read: IndexRead[]): Promise<void> {
  const isBehind = (at: number) => read[at]?.isAtEnd === false && read[at]?.problem === undefined;
  for (;;) {
    const behind = indexes.map((_, at) => at).filter(isBehind);
    for (const [turn, at] of behind.entries()) {
      if (tick.deadline.remaining() < TIME_TO_CLOSE) return;
      const deadline = partOf(tick.deadline, 1 / (behind.length - turn));
      const before = read[at] as IndexRead;
      const more = await readIndexFeed({ ...tick, deadline }, indexes[at] as IndexFeed);
      read[at] = {
        ...more,
        pages: before.pages + more.pages,
        skipped: before.skipped + more.skipped,
        found: before.found + more.found,
      };
    }
    if (behind.length === 0) return;
  }
}

/** What was wrong with a tick's feeds, in a line; undefined where nothing was. */
export function problemOf(ticked: Ticked): string | undefined {
  if (ticked.outcome !== "ticked") return undefined;
  const problems = ticked.indexes.flatMap(({ feed, problem }) =>
    problem === undefined ? [] : [`feed ${feed}: ${problem.message}`],
  );
  for (const [feed, polled] of [
    ["feed poll", ticked.poll],
    ["named modules", ticked.named],
  ] as const) {
    const [first] = polled?.failing ?? [];
    if (polled === undefined || first === undefined) continue;
    const message = polled.failed.find(({ module }) => module === first)?.message ?? first;
    problems.push(`${feed}: ${polled.failing.length} modules cannot be asked: ${message}`);
  }
  return problems.length === 0 ? undefined : problems.join("; ");
}
