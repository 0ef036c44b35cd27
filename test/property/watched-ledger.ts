import { MemoryLedger } from "../../adapters/local/memory-ledger.ts";
import { compareStamps, type IndexStamp } from "../../gomod/index-stamp.ts";
import { formatModuleVersion, parseModuleVersion } from "../../gomod/version.ts";
import { completeUntil } from "../../mirror/complete-until.ts";
import { isRoot } from "../../mirror/decision.ts";
import type { RecordChange, Watermark } from "../../mirror/ledger-entries.ts";
import type { WatchingReader } from "../mirror/watching-reader.ts";
import type { IndexLine } from "../upstream/loopback-index.ts";

/** States in which a version holds no feed back; one that comes back from there does not hold it back again. */
const HOLDS_NOTHING_BACK = ["BROKEN", "WITHHELD", "GONE", "HELD", "DENIED", "BLOCKED", "CONFLICT"];

/** Each write of this version's record, and each act, is printed. */
const TRACED = process.env.MODFERRY_TRACE;

export function trace(what: () => string): void {
  if (TRACED !== undefined) console.error(what());
}

/** A ledger that has the reader look after each write of a record, and looks at each watermark itself (invariant 4). */
export class WatchedLedger extends MemoryLedger {
  readonly #reader: WatchingReader;
  readonly #lines: readonly IndexLine[];
  /** Ever seen in a state that holds no feed back. */
  readonly #excepted = new Set<string>();
  /** Ever listed: some request has it as a root, and lists it again once it may be. */
  readonly #roots = new Set<string>();
  /** What the index showed when it was last read to its end. */
  readAtEnd: readonly IndexLine[] = [];

  constructor(reader: WatchingReader, lines: readonly IndexLine[]) {
    super();
    this.#reader = reader;
    this.#lines = lines;
  }

  override async write(changes: readonly RecordChange[]) {
    const results = await super.write(changes);
    for (const [at, { record }] of changes.entries()) {
      const name = formatModuleVersion(record);
      if (name === TRACED)
        trace(() => `${results[at] === "changed" ? "LOST " : ""}${JSON.stringify(record)}`);
      if (record.listed) this.#roots.add(name);
      if (HOLDS_NOTHING_BACK.includes(record.state)) this.#excepted.add(name);
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

  /** All that the index saw before completeUntil is held, or is known not to come. */
  async lookAtCompleteness(): Promise<void> {
    const complete = await completeUntil(this, "index");
    if (complete === undefined) return;
    for (const { Path, Version, Timestamp } of this.readAtEnd) {
      const name = `${Path}@${Version}`;
      if (compareStamps(Timestamp as IndexStamp, complete.until) >= 0 || this.#excepted.has(name)) continue;
      const [record] = await this.read([parseModuleVersion(name)]);
      // A record counts for the feed that was first to hand it in.
      if (record?.feed !== undefined && record.feed !== "index") continue;
      if (record?.held !== "whole")
        this.#broken(`complete until ${complete.until}, but ${name} is ${record?.state ?? "not recorded"}`);
    }
  }

  #broken(what: string): void {
    this.#reader.broken.push(`4: ${what}`);
  }
}
