import { isFeedName } from "../orders.ts";
import { handedInAt, type RequestRecord } from "../requests.ts";
import type { Drop } from "./drops.ts";

/** Requests, as far as they keep something. */
export interface CurrentRequests {
  /** All that their closures need is kept. */
  readonly current: readonly RequestRecord[];
  /** Replaced by a newer one of their name, expired or dropped: of them only what lists still name counts. */
  readonly over: readonly RequestRecord[];
  /** Of feeds: of them the roots count that a subscription still selects. */
  readonly ofFeeds: readonly RequestRecord[];
}

/**
 * Which requests keep their closures: of each name the newest, until it is older than `keptFor` or dropped. Where that
 * one is not resolved to its end yet, its predecessors count until one is: whoever builds from those goes on. What was
 * refused counts for nothing.
 * @param isWhole whether a closure that was settled has all of its module graph.
 * @param keptFor in ms, since it was handed in.
 */
export async function currentRequests(
  requests: AsyncIterable<RequestRecord>,
  drops: ReadonlyMap<string, Drop>,
  now: number,
  keptFor: number,
  isWhole: (request: RequestRecord) => Promise<boolean>,
): Promise<CurrentRequests> {
  const byName = new Map<string, RequestRecord[]>();
  const ofFeeds: RequestRecord[] = [];
  const over: RequestRecord[] = [];
  for await (const request of requests) {
    if (request.state === "REFUSED") {
      // Whoever handed it in may look for as long why.
      if (handedInAt(request) + keptFor < now) over.push(request);
    } else if (request.state === "ENDED") over.push(request);
    else if (isFeedName(request.name)) ofFeeds.push(request);
    else byName.set(request.name, [...(byName.get(request.name) ?? []), request]);
  }
  const current: RequestRecord[] = [];
  for (const [name, of] of byName) {
    // The times are of one length: they sort as text.
    const newestFirst = of.sort((a, b) => (a.time < b.time ? 1 : -1));
    const dropped = drops.get(name)?.at ?? Number.NEGATIVE_INFINITY;
    let isCovered = false;
    for (const request of newestFirst) {
      const at = handedInAt(request);
      if (isCovered || at <= dropped || at + keptFor < now) {
        over.push(request);
        // A newer one that has expired has replaced the older ones, too.
        isCovered = true;
        continue;
      }
      current.push(request);
      isCovered = await replaces(request, isWhole);
    }
  }
  return { current, over, ofFeeds };
}

/** Whether the older ones of its name are needed no more. */
async function replaces(
  request: RequestRecord,
  isWhole: (request: RequestRecord) => Promise<boolean>,
): Promise<boolean> {
  if (request.state === "DONE") return true;
  return request.state === "INCOMPLETE" && (await isWhole(request));
}
