import { describe, expect, test } from "vitest";
import { MemoryQueue } from "../../adapters/local/memory-queue.ts";
import { modulePath } from "../../gomod/module-path.ts";
import { version } from "../../gomod/version.ts";
import { type Order, parseOrder } from "../../mirror/orders.ts";
import { currentTrace, newTraceId, traceOfRequest, withTrace } from "../../mirror/trace.ts";
import { tracedQueue } from "../../mirror/traced-queue.ts";
import { MadeMirror } from "./made-mirror.ts";
import { MadeUpstream } from "./made-upstream.ts";
import { pollTick } from "./poll-tick.ts";

const A = "0af7651916cd43dd8448eb211c80319c";
const ROOT = "1-5759e988-bd862e3fe1be46a994272793";
const ROOT_TRACE = "5759e988bd862e3fe1be46a994272793";

describe("a request's trace", () => {
  // The examples of W3C Trace Context (section 3.2 and 4.3) and of AWS X-Ray's documentation of its header.
  test.each<[string | undefined, string | undefined, string | undefined]>([
    [`00-${A}-b7ad6b7169203331-01`, undefined, A],
    [`00-${A}-b7ad6b7169203331-00`, `Root=${ROOT}`, A],
    [`cc-${A}-b7ad6b7169203331-01-what-the-future-will-be-like`, undefined, A],
    [`00-${A}-b7ad6b7169203331-01-surplus`, undefined, undefined],
    [`ff-${A}-b7ad6b7169203331-01`, undefined, undefined],
    [`00-${"0".repeat(32)}-b7ad6b7169203331-01`, undefined, undefined],
    [`00-${A}-0000000000000000-01`, undefined, undefined],
    [`00-${A.toUpperCase()}-b7ad6b7169203331-01`, undefined, undefined],
    [`00-${A}-b7ad6b7169203331`, undefined, undefined],
    [`00-${A}\n-b7ad6b7169203331-01`, undefined, undefined],
    [undefined, `Root=${ROOT};Parent=53995c3f42cd8ad8;Sampled=1`, ROOT_TRACE],
    [undefined, `Self=1-67891234-12456789abcdef012345678;Root=${ROOT}`, ROOT_TRACE],
    ["nonsense", `Root=${ROOT}`, ROOT_TRACE],
    [undefined, `Root=1-5759e988-bd862e3fe1be46a9942727`, undefined],
    [undefined, `NotRoot=${ROOT}`, undefined],
    [undefined, `Root=1-${"0".repeat(8)}-${"0".repeat(24)}`, undefined],
    [undefined, `${"x".repeat(5_000)};Root=${ROOT}`, undefined],
    [undefined, undefined, undefined],
  ])("of traceparent %j and X-Amzn-Trace-Id %j is %j", (traceparent, amazon, expected) => {
    const headers: Record<string, string | undefined> = { traceparent, "x-amzn-trace-id": amazon };
    expect(traceOfRequest((name) => headers[name])).toBe(expected);
  });
});

describe("an order's trace", () => {
  const fetchOrder: Order = {
    kind: "fetch",
    path: modulePath("example.com/a"),
    versions: [version("v1.0.0")],
  };

  test("is that under which it was sent; an order that bears one keeps it", async () => {
    const queue = new MemoryQueue();
    const [tick, other] = [newTraceId(), newTraceId()];
    await withTrace(tick, () =>
      tracedQueue(queue).send("fresh", [fetchOrder, { ...fetchOrder, trace: other }]),
    );
    await tracedQueue(queue).send("fresh", [fetchOrder]);
    expect([queue.take(), queue.take(), queue.take()].map((taken) => taken?.order.trace)).toEqual([
      tick,
      other,
      undefined,
    ]);
  });

  test("comes through a message; one without it, or with nonsense, is an order all the same", () => {
    const trace = newTraceId();
    expect(parseOrder(JSON.stringify({ ...fetchOrder, trace }))).toEqual({ ...fetchOrder, trace });
    expect(parseOrder(JSON.stringify(fetchOrder))).toEqual(fetchOrder);
    for (const nonsense of ["", "0".repeat(32), '"}\n{', 7, null, {}])
      expect(parseOrder(JSON.stringify({ ...fetchOrder, trace: nonsense }))).toEqual(fetchOrder);
    const resolve = { kind: "resolve", request: { name: "team", time: "20261123T093000000Z" } };
    expect(parseOrder(JSON.stringify({ ...resolve, trace }))).toEqual({ ...resolve, trace });
    expect(parseOrder(JSON.stringify(resolve))).toEqual(resolve);
  });

  test("goes from a tick of the feed through inbox, acceptance and resolution to every fetch order", async () => {
    const upstream = new MadeUpstream();
    upstream.add("example.com/dep@v1.0.0");
    upstream.add("example.com/a@v1.0.0", { requires: ["example.com/dep@v1.0.0"] });
    const mirror = new MadeMirror(upstream);
    const parts = { ...mirror.parts, queue: tracedQueue(mirror.queue) };
    const { work } = await import("../../mirror/work.ts");
    const { acceptRequest } = await import("../../mirror/accept.ts");
    const { noDeadline } = await import("../../mirror/parts.ts");
    const handedIn: Parameters<typeof acceptRequest>[1][] = [];
    const tick = newTraceId();
    const accept = async (_parts: unknown, request: (typeof handedIn)[number]) => void handedIn.push(request);
    await withTrace(tick, () => pollTick(parts, [modulePath("example.com/a")], "test", { accept }));
    // Another process, which knows nothing but what lies in the vault.
    expect(currentTrace()).toBeUndefined();
    for (const request of handedIn) await acceptRequest(parts, request);
    const orders: Order[] = [];
    for (let taken = mirror.queue.take(); taken !== undefined; taken = mirror.queue.take()) {
      const { order } = taken;
      orders.push(order);
      // As functions/work.ts does.
      if (order.trace !== undefined) await withTrace(order.trace, () => work(parts, order, noDeadline));
    }
    expect(orders.map(({ kind }) => kind).sort()).toEqual(["fetch", "fetch", "resolve"]);
    expect(new Set(orders.map(({ trace }) => trace))).toEqual(new Set([tick]));
  });
});
