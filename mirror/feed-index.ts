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
import { type IndexCursor, OVERLAP, parseCursor, printCursor, SeenEntries, windowOf } from "./feed-cursor.ts";
import { handInRoots, newRoots } from "./feed-roots.ts";
import { selectRoots } from "./feed-selection.ts";
import type { Watermark } from "./ledger-entries.ts";
import { backfillOf } from "./orders.ts";
import { withinTime } from "./within-time.ts";

/** A stamp later than this beyond our own clock is a lie or a broken clock: no watermark moves there, in ms. */
const CLOCK_SKEW = 10 * 60_000;
/** What the index saw longer ago than this is bulk work, in ms. */
const FRESH = 24 * 3_600_000;
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
  #cursor: IndexCursor;
  /** All before it is recorded. */
  #position: IndexStamp;
  #since: IndexStamp;
  #stalls = 0;
  #pages = 0;
  #skipped = 0;
  #found = 0;
  #isAtEnd = false;

  constructor(tick: FeedTick, feed: IndexFeed, stored: Watermark | undefined) {
    this.#tick = tick;
    this.#feed = feed;
    this.#startedAt = tick.parts.now();
    const known = positionOf(stored);
    this.#position = known ?? feed.from ?? secondsBefore(stampOf(this.#startedAt), OVERLAP);
    this.#since = known === undefined ? this.#position : secondsBefore(known, OVERLAP);
    this.#watermark = stored ?? { feed: feed.name, timestamp: this.#position, revision: 0 };
    this.#cursor = parseCursor(stored?.cursor);
  }

  result(problem: MirrorError | undefined): IndexRead {
    return {
      feed: this.#feed.name,
      pages: this.#pages,
      skipped: this.#skipped,
      found: this.#found,
      until: this.#watermark.timestamp,
      isAtEnd: this.#isAtEnd,
      ...(problem === undefined ? {} : { problem }),
    };
  }

  async read(): Promise<void> {
    const { deadline, keepLease } = this.#tick;
    while (deadline.remaining() >= TIME_TO_CLOSE) {
      const page = await this.#page();
      const fresh = page.entries.filter(({ version, stamp }) => this.#seen.add(version, stamp));
      const isFull = page.lines >= INDEX_PAGE_ENTRIES;
      const goesOn = page.entries.some(({ stamp }) => compareStamps(stamp, this.#position) > 0);
      this.#isAtEnd = !isFull && (fresh.length === 0 || !goesOn);
      const asBefore = this.#isAtEnd && !goesOn && this.#digest() === this.#cursor.seen;
      if (!asBefore) await this.#handIn(fresh);
      // A slow answer, or many roots: the lease may have run out, and another tick have begun from the same watermark.
      if (!(await keepLease())) throw this.#fault("transient", "another tick has taken over");
      await this.#move(page.entries);
      if (this.#isAtEnd) return;
      this.#goOn(page, fresh.length);
    }
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
    const { roots, latest } = await selectRoots(parts, subscriptions, entries);
    const open = await newRoots(parts, roots);
    const named = new Set(open.map(({ version }) => version.path));
    const [first] = open;
    if (first === undefined) return;
    const isOld = parts.now() - millisecondsOf(first.stamp as IndexStamp) > FRESH;
    const name = isOld ? backfillOf(this.#feed.name) : this.#feed.name;
    const wanted = latest.filter(({ path }) => named.has(path));
    await handInRoots(parts, open, wanted, { feed: this.#feed.name, name, accept });
    this.#found += open.length;
  }

  /** Only here is anything forgotten of what was read: all of it is recorded. */
  async #move(entries: readonly IndexEntry[]): Promise<void> {
    const { parts } = this.#tick;
    const latest = parts.now() + CLOCK_SKEW;
    for (const { stamp } of entries)
      if (compareStamps(stamp, this.#position) > 0 && millisecondsOf(stamp) <= latest) this.#position = stamp;
    const { seen: _seen, ...kept } = this.#cursor;
    const open = this.#isAtEnd ? await this.#openFrom() : this.#cursor.open;
    const atEnd = { seen: this.#digest(), checked: this.#startedAt };
    const cursor = { ...kept, ...(open === undefined ? {} : { open }), ...(this.#isAtEnd ? atEnd : {}) };
    const moved = await parts.ledger.moveWatermark({
      ...this.#watermark,
      timestamp: this.#position,
      cursor: printCursor(cursor),
    });
    if (moved === "changed") throw this.#fault("transient", "another tick has moved the watermark");
    this.#watermark = moved;
    this.#cursor = cursor;
  }

  /** The earliest window with open work; what was read to its end before the overlap cannot get any. */
  async #openFrom(): Promise<string> {
    const settled = windowOf(secondsBefore(this.#position, OVERLAP));
    const from = this.#cursor.open ?? "";
    for await (const { window } of this.#tick.parts.ledger.openWork(this.#feed.name, from))
      return window < settled ? window : settled;
    return settled > from ? settled : from;
  }

  /** Where the next answer begins: at the last stamp, verbatim. */
  #goOn({ entries, lines }: IndexPage, fresh: number): void {
    const last = entries.at(-1)?.stamp;
    const forward = last === undefined ? -1 : compareStamps(last, this.#since);
    if (last !== undefined && forward > 0) {
      this.#since = last;
      this.#stalls = 0;
      this.#seen.forgetBefore(secondsBefore(earlier(this.#position, last), OVERLAP));
      return;
    }
    const isOneStamp =
      lines >= INDEX_PAGE_ENTRIES && entries.every(({ stamp }) => compareStamps(stamp, this.#since) === 0);
    if (last !== undefined && isOneStamp) {
      const { parts } = this.#tick;
      // More than an answer holds at one moment: what is beyond it cannot be asked for.
      parts.report({ event: "indexOverfull", feed: this.#feed.name, stamp: last });
      this.#since = microsecondAfter(last);
      return;
    }
    this.#stalls++;
    if (fresh === 0 || this.#stalls > MOST_STALLS)
      throw this.#fault("malformed", "does not go on from the time that it is asked for; tell its operator");
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

/** A watermark that another version of this code wrote, and that is no stamp, is as good as none. */
function positionOf(stored: Watermark | undefined): IndexStamp | undefined {
  try {
    return stored === undefined ? undefined : indexStamp(stored.timestamp);
  } catch {
    return undefined;
  }
}
