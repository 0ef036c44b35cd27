import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";

/**
 * Names what one tick or one client's request has set off, through all orders that come of it: the trace-id of W3C Trace
 * Context, 32 lower-case hexadecimal digits, not all zero.
 */
export type TraceId = string & { readonly brand: "TraceId" };

const traces = new AsyncLocalStorage<TraceId>();

/** Does some work, and all that it sets off in this process, under a trace. */
export function withTrace<T>(trace: TraceId, work: () => T): T {
  return traces.run(trace, work);
}

/** The trace that this is done under. */
export function currentTrace(): TraceId | undefined {
  return traces.getStore();
}

export function newTraceId(): TraceId {
  for (;;) {
    const trace = parseTraceId(randomBytes(16).toString("hex"));
    if (trace !== undefined) return trace;
  }
}

/** @returns undefined where the text is no trace-id. Attacker-controlled. */
export function parseTraceId(text: string): TraceId | undefined {
  return /^[0-9a-f]{32}$/.test(text) && !/^0+$/.test(text) ? (text as TraceId) : undefined;
}

/** W3C Trace Context, section 3.2: later versions may add fields after these; ff is forbidden, and so are zeros. */
const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-|$)/;
/** AWS X-Ray, Tracing header: `Root=1-<8 hex: seconds>-<24 hex>` among other fields. */
const ROOT = /(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})\s*(?:;|$)/i;
/** Both headers are short; nothing longer is looked at. */
const LONGEST_HEADER = 1_024;

/**
 * The trace that a client or a load balancer says a request belongs to: `traceparent`, else `X-Amzn-Trace-Id`, whose root
 * is the same 32 digits with hyphens (X-Ray and W3C trace ids are converted so by AWS itself).
 * @param header by lower-case name. Attacker-controlled: what does not parse is as good as none.
 */
export function traceOfRequest(header: (name: string) => string | undefined): TraceId | undefined {
  const traceparent = header("traceparent")?.trim() ?? "";
  const [matched, version, id = ""] = TRACEPARENT.exec(traceparent.slice(0, LONGEST_HEADER)) ?? [];
  // Version 00 has no further fields.
  const parent = version === "00" && matched !== traceparent ? undefined : parseTraceId(id);
  if (parent !== undefined) return parent;
  const [, seconds, rest] = ROOT.exec((header("x-amzn-trace-id") ?? "").slice(0, LONGEST_HEADER)) ?? [];
  return seconds === undefined ? undefined : parseTraceId(`${seconds}${rest}`.toLowerCase());
}
