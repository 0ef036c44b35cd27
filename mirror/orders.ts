import { z } from "zod";
import { quote } from "../gomod/go-quote.ts";
import { type ModulePath, modulePath } from "../gomod/module-path.ts";
import { type Version, version } from "../gomod/version.ts";
import { MirrorError } from "./errors.ts";

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
}

/** Fetch what is wanted of these versions of one module, then publish its list. */
export interface FetchOrder {
  readonly kind: "fetch";
  readonly path: ModulePath;
  readonly versions: readonly Version[];
  /** The request that waits for this order, and the order's number in it; absent when reconcile sent it. */
  readonly request?: RequestKey;
  readonly number?: number;
}

export type Order = ResolveOrder | FetchOrder;

/** Tip of the feeds and requests go before bulk work. */
export type QueueName = "fresh" | "backfill";

/** The feed that asks `@v/list` of every configured module, and the name of the requests that it makes. */
export const POLL_FEED = "poll";

/** A feed's bulk work goes behind people's requests. */
export function queueOf(request: RequestKey): QueueName {
  return request.name === POLL_FEED ? "backfill" : "fresh";
}

/** How many versions one order names at most, so that a unit of work stays well below its 300 s. */
export const VERSIONS_PER_ORDER = 16;

/** A request's name: what a file name and a URL segment may hold everywhere. */
export const requestName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/);
export const requestTime = z.string().regex(/^\d{8}T\d{9}Z$/);

const requestKey = z.strictObject({ name: requestName, time: requestTime });
const orderShape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("resolve"), request: requestKey }),
  z.strictObject({
    kind: z.literal("fetch"),
    path: z.string().max(2048),
    versions: z.array(z.string().max(256)).min(1).max(VERSIONS_PER_ORDER),
    request: requestKey.optional(),
    number: z.int().min(0).optional(),
  }),
]);

/** @throws MirrorError malformed when `text` is no order: such a message goes to the dead-letter queue. */
export function parseOrder(text: string): Order {
  try {
    const order = orderShape.parse(JSON.parse(text));
    if (order.kind === "resolve") return order;
    const { request, number } = order;
    return {
      kind: "fetch",
      path: modulePath(order.path),
      versions: order.versions.map(version),
      ...(request === undefined ? {} : { request }),
      ...(number === undefined ? {} : { number }),
    };
  } catch (cause) {
    // Quoted: a message's text must not break the line that reports it.
    const beginning = quote(text.slice(0, 100));
    throw new MirrorError("malformed", "order", `order: not an order of this mirror: ${beginning}`, {
      cause,
    });
  }
}
