import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { compareStamps, type IndexStamp } from "../../gomod/index-stamp.ts";
import { formatModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { isRoot } from "../../mirror/decision.ts";
import type { RecordChange, Watermark } from "../../mirror/ledger-entries.ts";
import type { VersionRecord } from "../../mirror/records.ts";
import { entryOf, printEntry } from "../../mirror/snapshot/snapshot-entry.ts";
import type { WatchingReader } from "../mirror/watching-reader.ts";
import type { IndexLine } from "../upstream/loopback-index.ts";

/** States in which a version holds no feed back while it is in them; HELD only until its time is over. */
const HOLDS_NOTHING_BACK = ["BROKEN", "WITHHELD", "GONE", "DENIED", "BLOCKED", "CONFLICT"];
/** Given up: one more try of it does not hold its feed back either. */
const GIVEN_UP = ["BROKEN", "WITHHELD", "GONE", "CONFLICT"];
const HOUR = 3_600_000;

/** Each write of this version's record, and each act, is printed. */
const TRACED = process.env.MODFERRY_TRACE;

export function trace(what: () => string): void {
  if (TRACED !== undefined) console.error(what());
}

/** A ledger that has the reader look after each write of a record, and looks at each watermark itself (invariant 4). */
export class WatchedLedger extends MemoryLedger {
  readonly #reader: WatchingReader;
  readonly #lines: readonly IndexLine[];
  /** Ever seen given up, or ever kept out, too. */
  readonly #givenUp = new Set<string>();
  readonly #keptOut = new Set<string>();
  /** Ever listed: some request has it as a root, and lists it again once it may be. */
  readonly #roots = new Set<string>();
  /** Of each version, what a snapshot would have of it. */
  readonly #entries = new Map<string, string>();
  /** What the index showed when it was last read to its end. */
  readAtEnd: readonly IndexLine[] = [];

  constructor(reader: WatchingReader, lines: readonly IndexLine[]) {
    super();
    this.#reader = reader;
    this.#lines = lines;
  }

  override async write(changes: readonly RecordChange[]) {
    const results = await super.write(changes);
    for (const [at, { record, journal }] of changes.entries()) {
      if (results[at] !== "changed") this.#lookAtJournal(record, journal !== undefined);
      const name = formatModuleVersion(record);
      if (name === TRACED)
        trace(() => `${results[at] === "changed" ? "LOST " : ""}${JSON.stringify(record)}`);
      if (record.listed) this.#roots.add(name);
      if (GIVEN_UP.includes(record.state)) this.#givenUp.add(name);
      if (record.state === "HELD" || HOLDS_NOTHING_BACK.includes(record.state)) this.#keptOut.add(name);
      await this.#reader.lookAtRecord(this, name);
    }
    return results;
  }

  override async moveWatermark(watermark: Watermark) {
    if (watermark.feed === "index") {
      const upTo = watermark.timestamp as IndexStamp;
      for (const { Path, Version, Timestamp } of this.#lines) {
        if (compareStamps(Timestamp as IndexStamp, upTo) > 0) continue;
        const [record] = await this.read([parseModuleVersion(`${Path}@${Version}`)]);
        const isKnown =
          record !== undefined && (isRoot(record) || this.#roots.has(formatModuleVersion(record)));
        if (!isKnown) this.#broken(`the watermark ${upTo} passes ${Path}@${Version}, which is not recorded`);
      }
    }
    return await super.moveWatermark(watermark);
  }

  /**
   * All that the index saw before completeUntil is listed, or is known not to come, or to lack something that may not.
   * @param requires a version's requirements, as upstream has them.
   */
  async lookAtCompleteness(now: number, requires: (name: string) => readonly string[]): Promise<void> {
    const complete = await completeUntil(this, "index", now);
    if (complete === undefined) return;
    for (const { Path, Version, Timestamp } of this.readAtEnd) {
      const name = `${Path}@${Version}`;
      if (compareStamps(Timestamp as IndexStamp, complete.until) >= 0) continue;
      const [record] = await this.read([parseModuleVersion(name)]);
      // A record counts for the feed that was first to hand it in.
      if (record?.feed !== undefined && record.feed !== "index") continue;
      if (record === undefined || !this.#mayBePassed(record, name, now, requires))
        this.#broken(`complete until ${complete.until}, but ${name} is ${record?.state ?? "not recorded"}`);
    }
  }

  #mayBePassed(
    record: VersionRecord,
    name: string,
    now: number,
    requires: (name: string) => readonly string[],
  ): boolean {
    const { state, due = 0, listed } = record;
    if (HOLDS_NOTHING_BACK.includes(state)) return true;
    if (state === "HELD") return due >= now - (now % HOUR);
    if (state !== "READY") return this.#givenUp.has(name);
    // What comes back of its closure counts when its request has looked at it, which takes minutes.
    const lacksSomething = (of: string): boolean =>
      requires(of).some((required) => this.#keptOut.has(required) || lacksSomething(required));
    return listed || lacksSomething(name);
  }

  /** Snapshots read again what the journal names, and nothing else. */
  #lookAtJournal(record: VersionRecord, isJournaled: boolean): void {
    const name = formatModuleVersion(record);
    const entry = entryOf(record);
    const text = entry === undefined ? "" : printEntry(entry);
    if (text !== (this.#entries.get(name) ?? "") && !isJournaled)
      this.#reader.broken.push(`snapshots: ${name} is ${text} without a line of the journal`);
    this.#entries.set(name, text);
  }

  #broken(what: string): void {
    this.#reader.broken.push(`4: ${what}`);
  }
}
