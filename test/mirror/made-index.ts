import { INDEX_PAGE_ENTRIES, type IndexPage, parseIndexPage } from "../../gomod/index-page.ts";
import { type IndexStamp, stampOf } from "../../gomod/index-stamp.ts";
import { parseModuleVersion } from "../../gomod/version.ts";
import type { ModuleIndex } from "../../mirror/feed.ts";
import { Subscriptions, subscriptions } from "../../mirror/subscription.ts";
import type { FeedSettings } from "../../mirror/tick.ts";
import { answerIndex, type IndexLine, printLines } from "../upstream/loopback-index.ts";

/** A module index in memory, with faults. */
export class MadeIndex implements ModuleIndex {
  readonly name = "made index";
  readonly lines: IndexLine[] = [];
  readonly asked: string[] = [];
  /** Answers instead; undefined to answer as an index does. */
  fault: ((since: string) => Uint8Array | Error | undefined) | undefined;

  /** Adds a version seen at `stamp`; lines stay in time order, within a stamp the last one comes last. */
  see(name: string, stamp: string): void {
    const { path, version } = parseModuleVersion(name);
    const line = { Path: path, Version: version, Timestamp: stamp };
    const at = this.lines.findLastIndex(({ Timestamp }) => Timestamp <= stamp);
    this.lines.splice(at + 1, 0, line);
  }

  page = async (since: IndexStamp): Promise<IndexPage> => {
    this.asked.push(since);
    const fault = this.fault?.(since);
    if (fault instanceof Error) throw fault;
    return parseIndexPage(
      fault ?? Buffer.from(printLines(answerIndex(this.lines, since, INDEX_PAGE_ENTRIES))),
    );
  };
}

/** Subscriptions as a configuration writes them. */
export function subscribed(...list: unknown[]): Subscriptions {
  return new Subscriptions(subscriptions.parse(list));
}

/** All of example.com through this index. */
export function indexOnly(
  index: ModuleIndex,
  list: Subscriptions = subscribed({ modules: ["example.com"], versions: "all" }),
  from?: string,
): FeedSettings {
  const begin = from === undefined ? {} : { from: from as IndexStamp };
  return { subscriptions: list, indexes: [{ name: "index", index, ...begin }] };
}

/** `…30.000123Z`: microseconds that a Date cannot hold. */
export function microStamp(ms: number, micros = 123): string {
  return stampOf(ms).replace("Z", `${String(micros).padStart(3, "0")}Z`);
}
