import { INDEX_PAGE_ENTRIES, type IndexEntry, type IndexPage } from "../gomod/index-page.ts";
import {
  compareStamps,
  type IndexStamp,
  indexStamp,
  microsecondAfter,
  millisecondsOf,
  secondsBefore,
  stampOf,
} from "../gomod/index-stamp.ts";
import { TIME_TO_CLOSE } from "./deadline.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { FeedTick, IndexFeed, IndexRead } from "./feed.ts";
import { type FeedCursor, OVERLAP, parseCursor, printCursor, SeenEntries } from "./feed-cursor.ts";
import { handInLater, keepForLater } from "./feed-later.ts";
import { handInRoots, newRoots } from "./feed-roots.ts";
import { selectRoots } from "./feed-selection.ts";
import { forgetDoneWork } from "./feed-work.ts";
import type { Watermark } from "./ledger-entries.ts";
import { backfillOf } from "./orders.ts";
import { withinTime } from "./within-time.ts";

/** A stamp later than this beyond our own clock is a lie or a broken clock: no watermark moves there, in ms. */
const CLOCK_SKEW = 10 * 60_000;
/** What the index saw longer ago than this is bulk work, in ms. */
const FRESH = 24 * 3_600_000;
/** No index gives fewer lines in an answer than this, and has more. */
const SMALLEST_PAGE = 10;
/** Answers that bring something without going on in time; more are an index that makes things up. */
const MOST_STALLS = 3;

/**
 * Reads an index from its watermark on. Each answer's roots are handed in and recorded, and only then the watermark
 * moves: a crash anywhere, or a second planner, hands in once more what was not recorded. What goes wrong with the index
 * ends the reading and is in `problem`; what goes wrong with tree, vault or ledger is thrown.
 */
export async function readIndexFeed(tick: FeedTick, feed: IndexFeed): Promise<IndexRead> {
  const { parts } = tick;
  const stored = await parts.ledger.readWatermark(feed.name);
  const reading = new IndexReading(tick, feed, stored);
  let problem: MirrorError | undefined;
  try {
    await reading.read();
  } catch (thrown) {
    if (!(thrown instanceof IndexFault)) throw thrown;
    problem = thrown.error;
  }
  return reading.result(problem);
}

/** What is the index's fault, so that nothing else is taken for it. */
class IndexFault extends Error {
  readonly error: MirrorError;

  constructor(error: MirrorError) {
    super(error.message);
    this.error = error;
  }
}

class IndexReading {
  readonly #tick: FeedTick;
  readonly #feed: IndexFeed;
  readonly #seen = new SeenEntries();
  readonly #startedAt: number;
  #watermark: Watermark;
  #cursor: FeedCursor;
  /** All before it is recorded. */
  #position: IndexStamp;
  #since: IndexStamp;
  /** All that was visible before is recorded, or nobody wanted it. */
  readonly #unseenSince: IndexStamp;
  #stalls = 0;
  /** Lines of the answer before, of this reading. */
  #linesBefore: number | undefined;
  /** A moment that was stepped over: should there be more after it, that may have hidden some. */
  #steppedOver: IndexStamp | undefined;
  #pages = 0;
  #skipped = 0;
  #found = 0;
  #isAtEnd = false;
  /** Roots that are kept for later. */
  #later: number;

  constructor(tick: FeedTick, feed: IndexFeed, stored: Watermark | undefined) {
    this.#tick = tick;
    this.#feed = feed;
    this.#startedAt = tick.parts.now();
    const known = positionOf(stored);
    this.#position = known ?? feed.from ?? secondsBefore(stampOf(this.#startedAt), OVERLAP);
    this.#since = known === undefined ? this.#position : secondsBefore(known, OVERLAP);
    this.#watermark = stored ?? { feed: feed.name, timestamp: this.#position, revision: 0 };
    this.#cursor = parseCursor(stored?.cursor);
    this.#later = this.#cursor.later ?? 0;
    const { checked } = this.#cursor;
    this.#unseenSince = checked === undefined ? this.#since : secondsBefore(stampOf(checked), OVERLAP);
  }

  result(problem: MirrorError | undefined): IndexRead {
    return {
      feed: this.#feed.name,
      pages: this.#pages,
      skipped: this.#skipped,
      found: this.#found,
      later: this.#later,
      until: this.#watermark.timestamp,
      isAtEnd: this.#isAtEnd,
      ...(problem === undefined ? {} : { problem }),
    };
  }

  async read(): Promise<void> {
    const { deadline, keepLease } = this.#tick;
    if (this.#later > 0) {
      const { name } = this.#feed;
      const { found, left } = await handInLater(this.#tick, name, backfillOf(name));
      this.#found += found;
      this.#later = left;
    }
    while (deadline.remaining() >= TIME_TO_CLOSE) {
      const page = await this.#page();
      const fresh = page.entries.filter(({ version, stamp }) => this.#seen.add(version, stamp));
      const goesOn = page.entries.some(({ stamp }) => compareStamps(stamp, this.#position) > 0);
      const isAll = this.#isAll(page, fresh.length > 0);
      this.#isAtEnd = isAll ? fresh.length === 0 || !goesOn : fresh.length === 0 && this.#isOver(page);
      const asBefore = this.#isAtEnd && !goesOn && this.#digest() === this.#cursor.seen;
      if (!asBefore) await this.#handIn(fresh);
      // A slow answer, or many roots: the lease may have run out, and another tick have begun from the same watermark.
      if (!(await keepLease())) throw this.#fault("transient", "another tick has taken over");
      await this.#move(page.entries, !asBefore);
      if (this.#isAtEnd) return;
      this.#goOn(page, fresh.length, isAll);
    }
  }

  /**
   * Whether an answer has all that the index had to say from there on. An index may give fewer lines at once than the
   * protocol allows; that one has more is seen when its next answer has something new.
   */
  #isAll({ lines }: IndexPage, isNews: boolean): boolean {
    const most = Math.min(this.#cursor.most ?? 0, (isNews && this.#linesBefore) || INDEX_PAGE_ENTRIES);
    this.#linesBefore = lines;
    this.#cursor = { ...this.#cursor, most: Math.max(most, lines) };
    return lines < Math.min(INDEX_PAGE_ENTRIES, Math.max(SMALLEST_PAGE, most));
  }

  /** Whether an answer without news leads no further, and hides nothing. */
  #isOver(page: IndexPage): boolean {
    if (page.lines >= INDEX_PAGE_ENTRIES || this.#isOneMoment(page)) return false;
    const last = page.entries.at(-1)?.stamp;
    return last === undefined || compareStamps(last, this.#since) <= 0;
  }

  #isOneMoment({ entries }: IndexPage): boolean {
    return entries.length > 0 && entries.every(({ stamp }) => compareStamps(stamp, this.#since) === 0);
  }

  async #page(): Promise<IndexPage> {
    const { index, name } = this.#feed;
    this.#pages++;
    try {
      const page = await withinTime(index.page(this.#since), this.#tick.deadline, name);
      this.#skipped += page.skipped;
      if (page.firstProblem !== undefined)
        this.#tick.parts.report({
          event: "indexSkipped",
          feed: name,
          lines: page.skipped,
          message: page.firstProblem,
        });
      return page;
    } catch (thrown) {
      throw new IndexFault(asMirrorError(thrown, name));
    }
  }

  async #handIn(entries: readonly IndexEntry[]): Promise<void> {
    const { parts, subscriptions, accept } = this.#tick;
    const { roots, later, latest } = await selectRoots(parts, subscriptions, entries.map(this.#asSeen));
    const open = await newRoots(parts, roots, this.#feed.name);
    await keepForLater(this.#tick, this.#feed.name, await newRoots(parts, later, this.#feed.name));
    // Also what was kept by a tick that then died.
    this.#later = Math.max(this.#later, later.length);
    const named = new Set(open.map(({ version }) => version.path));
    const [first] = open;
    if (first === undefined) return;
    const isOld = parts.now() - millisecondsOf(first.stamp as IndexStamp) > FRESH;
    const name = isOld ? backfillOf(this.#feed.name) : this.#feed.name;
    const wanted = latest.filter(({ path }) => named.has(path));
    await handInRoots(parts, open, wanted, { feed: this.#feed.name, name, accept });
    this.#found += open.length;
  }

  /**
   * What an index shows now and did not when it was last read to its end, it has seen since, but for the overlap; and
   * nothing before the time that it is asked for. A stamp that says otherwise makes no version older.
   */
  readonly #asSeen = (entry: IndexEntry): IndexEntry => {
    const earliest = later(this.#since, this.#unseenSince);
    return compareStamps(entry.stamp, earliest) < 0 ? { ...entry, stamp: earliest } : entry;
  };

  /** Only here is anything forgotten of what was read: all of it is recorded. */
  async #move(entries: readonly IndexEntry[], isNews: boolean): Promise<void> {
    const { parts } = this.#tick;
    const latest = parts.now() + CLOCK_SKEW;
    for (const { stamp } of entries)
      if (compareStamps(stamp, this.#position) > 0 && millisecondsOf(stamp) <= latest) this.#position = stamp;
    const { seen: _seen, ...kept } = this.#cursor;
    // Of what is idle there is little to forget.
    const forgets =
      isNews || !stampOf(this.#startedAt).startsWith(kept.forgot?.slice(0, "2026-01-31".length) ?? "-");
    const forgot = forgets
      ? await forgetDoneWork(parts.ledger, this.#feed.name, this.#startedAt, kept.forgot)
      : kept.forgot;
    const atEnd = { seen: this.#digest(), checked: this.#startedAt };
    const cursor = {
      ...kept,
      ...(forgot === undefined ? {} : { forgot }),
      later: this.#later,
      ...(this.#isAtEnd ? atEnd : {}),
    };
    const moved = await parts.ledger.moveWatermark({
      ...this.#watermark,
      timestamp: this.#position,
      cursor: printCursor(cursor),
    });
    if (moved === "changed") throw this.#fault("transient", "another tick has moved the watermark");
    this.#watermark = moved;
    this.#cursor = cursor;
  }

  /** Where the next answer begins: at the last stamp, verbatim. */
  #goOn(page: IndexPage, fresh: number, isAll: boolean): void {
    if (fresh > 0) this.#reportSteppedOver();
    const last = page.entries.at(-1)?.stamp;
    const forward = last === undefined ? -1 : compareStamps(last, this.#since);
    if (last !== undefined && forward > 0) {
      this.#since = last;
      this.#stalls = 0;
      this.#seen.forgetBefore(secondsBefore(earlier(this.#position, last), OVERLAP));
      return;
    }
    if (last !== undefined && !isAll && this.#isOneMoment(page)) {
      // More than an answer holds at one moment: what is beyond it cannot be asked for.
      this.#steppedOver = last;
      if (page.lines >= INDEX_PAGE_ENTRIES) this.#reportSteppedOver();
      this.#since = microsecondAfter(last);
      return;
    }
    this.#stalls++;
    if (fresh === 0 || this.#stalls > MOST_STALLS)
      throw this.#fault("malformed", "does not go on from the time that it is asked for; tell its operator");
  }

  #reportSteppedOver(): void {
    if (this.#steppedOver === undefined) return;
    this.#tick.parts.report({ event: "indexOverfull", feed: this.#feed.name, stamp: this.#steppedOver });
    this.#steppedOver = undefined;
  }

  #digest(): string {
    return this.#seen.digest(this.#position, this.#tick.subscriptions.fingerprint);
  }

  #fault(errorClass: "transient" | "malformed", what: string): IndexFault {
    const { name, index } = this.#feed;
    return new IndexFault(new MirrorError(errorClass, name, `${name}: ${index.name}: ${what}`));
  }
}

function earlier(a: IndexStamp, b: IndexStamp): IndexStamp {
  return compareStamps(a, b) <= 0 ? a : b;
}

function later(a: IndexStamp, b: IndexStamp): IndexStamp {
  return compareStamps(a, b) < 0 ? b : a;
}

/** A watermark that another version of this code wrote, and that is no stamp, is as good as none. */
function positionOf(stored: Watermark | undefined): IndexStamp | undefined {
  try {
    return stored === undefined ? undefined : indexStamp(stored.timestamp);
  } catch {
    return undefined;
  }
}
