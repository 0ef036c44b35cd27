import type { IndexPage } from "../gomod/index-page.ts";
import type { IndexStamp } from "../gomod/index-stamp.ts";
import type { MirrorError } from "./errors.ts";
import type { RequestKey } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import type { Subscriptions } from "./subscription.ts";

/** A module index that we read (adapters/upstream/module-index.ts). Hostile: what it says is parsed, no more. */
export interface ModuleIndex {
  /** For messages: scheme, host and path, without user-info. */
  readonly name: string;
  /**
   * One answer: what the index saw from `since` on, that moment included, at most INDEX_PAGE_ENTRIES lines.
   * @throws MirrorError transient (429 among others), unauthorized, withheld, absent, or malformed where the answer is no
   * index.
   */
  page(since: IndexStamp): Promise<IndexPage>;
}

/** An index and the feed that it is. */
export interface IndexFeed {
  /** `index`, or `index.<name>` where there are several: of the watermark and of requests. */
  readonly name: string;
  readonly index: ModuleIndex;
  /** Where a mirror that has never read it begins; left out: now. */
  readonly from?: IndexStamp;
}

/** What all feeds of a tick share. */
export interface FeedTick {
  readonly parts: MirrorParts;
  readonly subscriptions: Subscriptions;
  readonly deadline: Deadline;
  readonly accept: (parts: MirrorParts, request: RequestKey) => Promise<void>;
  /** Keeps the tick's lease; false when another tick has taken it. */
  readonly keepLease: () => Promise<boolean>;
}

/** What a tick has read of an index. */
export interface IndexRead {
  readonly feed: string;
  /** Answers asked for, and lines of them that name no version of a module. */
  readonly pages: number;
  readonly skipped: number;
  /** New roots handed in. */
  readonly found: number;
  /** Roots that wait for the go.mod that says which of them are retracted: one more tick takes them, once it is held. */
  readonly later: number;
  /** How far all is recorded: the watermark. */
  readonly until: string;
  /** The index was read to its end. */
  readonly isAtEnd: boolean;
  /** What stopped it; the next tick goes on from the watermark. */
  readonly problem?: MirrorError;
}
