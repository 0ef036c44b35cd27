import { z } from "zod";
import { quote } from "../gomod/go-quote.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { type Version, version } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";
import { parseTraceId, type TraceId } from "./trace.ts";

/** Names a request: `requests/<name>/<time>` in the vault, `request` / `<name>#<time>` in the ledger. */
export interface RequestKey {
  readonly name: string;
  /** UTC, `YYYYMMDDTHHMMSSmmmZ`. */
  readonly time: string;
}

/** Load a request's module graphs and write down its closure. */
export interface ResolveOrder {
  readonly kind: "resolve";
  readonly request: RequestKey;
  /** What has set it off, for the log; a queue adds it (traced-queue.ts). */
  readonly trace?: TraceId;
}

/** Fetch what is wanted of these versions of one module, then publish its list. */
export interface FetchOrder {
  readonly kind: "fetch";
  readonly path: ModulePath;
  readonly versions: readonly Version[];
  /** The request that waits for this order, and the order's number in it; absent when reconcile sent it. */
  readonly request?: RequestKey;
  readonly number?: number;
  readonly trace?: TraceId;
}

export type Order = ResolveOrder | FetchOrder;

/** Tip of the feeds and requests go before bulk work. */
export type QueueName = "fresh" | "backfill";

/** The feed that asks `@v/list` of every configured module, and the name of the requests that it makes. */
export const POLL_FEED = "poll";

/** The feed that reads a module index; of several, `index.<name>`. */
export const INDEX_FEED = "index";
/** The feeds that a mirror has unless its configuration names several indexes, by the names of their watermarks. */
export const FEEDS: readonly string[] = [INDEX_FEED, POLL_FEED];
/** What a feed calls its requests where it is far behind. */
const BACKFILL = ".backfill";

/** The names of feeds, and of the requests that they make: no user's request has one of them. */
export function isFeedName(name: string): boolean {
  return [POLL_FEED, INDEX_FEED].some((feed) => name === feed || name.startsWith(`${feed}.`));
}

/** What a feed's requests for old versions are called: they go behind its new ones. */
export function backfillOf(feed: string): string {
  return `${feed}${BACKFILL}`;
}

/** Whether a feed's name is that of another one's requests for old versions. */
export function isBackfill(name: string): boolean {
  return isFeedName(name) && name.endsWith(BACKFILL);
}

/** A feed's bulk work goes behind people's requests; what an index has just seen does not. */
export function queueOf({ name }: RequestKey): QueueName {
  const isBulk = isBackfill(name) || (isFeedName(name) && name.startsWith(POLL_FEED));
  return isBulk ? "backfill" : "fresh";
}

/** How many versions one order names at most, so that a unit of work stays well below its 300 s. */
export const VERSIONS_PER_ORDER = 16;
/**
 * As many bytes of zips as one order should bring at most, for the same reason: at 10 MB/s half of its time. A larger zip
 * is an order of its own.
 */
export const BYTES_PER_ORDER = 1_500_000_000;

/**
 * A request's name, such as `team/app`: up to four parts of what a file name and a URL segment may hold everywhere. A
 * request's time has capitals, so that no name is another one with a time.
 */
export const requestName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}(?:\/[a-z0-9][a-z0-9._-]{0,63}){0,3}$/);
export const requestTime = z.string().regex(/^\d{8}T\d{9}Z$/);

const requestKey = z.strictObject({ name: requestName, time: requestTime });
/** Only for the log: what bears it is good whatever stands there. */
export const traceField = z.string().transform(parseTraceId).optional().catch(undefined);
const orderShape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("resolve"), request: requestKey, trace: traceField }),
  z.strictObject({
    kind: z.literal("fetch"),
    path: z.string().max(2048),
    versions: z.array(z.string().max(256)).min(1).max(VERSIONS_PER_ORDER),
    request: requestKey.optional(),
    number: z.int().min(0).optional(),
    trace: traceField,
  }),
]);

/** @throws MirrorError malformed when `text` is no order: such a message goes to the dead-letter queue. */
export function parseOrder(text: string): Order {
  try {
    const order = orderShape.parse(JSON.parse(text));
    const { request, trace } = order;
    const traced = trace === undefined ? {} : { trace };
    if (order.kind === "resolve") return { kind: "resolve", request: order.request, ...traced };
    const { number } = order;
    return {
      kind: "fetch",
      path: modulePath(order.path),
      versions: order.versions.map(version),
      ...(request === undefined ? {} : { request }),
      ...(number === undefined ? {} : { number }),
      ...traced,
    };
  } catch (cause) {
    // Quoted: a message's text must not break the line that reports it.
    const beginning = quote(text.slice(0, 100));
    throw new MirrorError("malformed", "order", `order: not an order of this mirror: ${beginning}`, {
      cause,
    });
  }
}
