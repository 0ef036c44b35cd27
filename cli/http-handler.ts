import { AsyncResource } from "node:async_hooks";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { Answer } from "../mirror/answer.ts";
import { asMirrorError } from "../mirror/errors.ts";
import type { LogEntry } from "../mirror/log-line.ts";
import { boundedBody, REQUESTS_PATH, type RequestDesk } from "../mirror/request-desk.ts";
import { answer, type ServeParts } from "../mirror/serve.ts";
import { newTraceId, traceOfRequest, withTrace } from "../mirror/trace.ts";
import { parseTreeKey } from "../mirror/tree-keys.ts";
import { byteRange } from "./byte-range.ts";
import { IDENTITY_HEADER } from "./mirror-identity.ts";

/** Everything is sent by this process. */
const INLINE = Number.POSITIVE_INFINITY;

type HandlerParts = ServeParts & {
  /** Says which mirror this is, so that it is never its own upstream (mirror-identity.ts). */
  readonly identity: string;
  /** Where requests are handed in; where it is absent, nowhere. */
  readonly desk?: RequestDesk;
  /** Told of each request when its answer has ended, for log and counters. */
  readonly answered?: (http: AnsweredRequest) => void;
  /** Told why a request could not be answered. */
  readonly failed?: (thrown: unknown) => void;
};

/** An answer as log and counters have it; `kind` is that of the file, `own` below `/-/`, or `other`. */
export type AnsweredRequest = Required<Omit<NonNullable<LogEntry["http"]>, "client">> & {
  readonly kind: string;
  readonly client?: string;
};

/** Answers one HTTP request of a client from the mirror. Attacker-controlled; never throws. */
export async function handleRequest(
  parts: HandlerParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader(IDENTITY_HEADER, parts.identity);
  const given = traceOfRequest((name) => [request.headers[name]].flat()[0]);
  await withTrace(given ?? newTraceId(), async () => {
    if (parts.answered !== undefined) tellWhenAnswered(parts.answered, request, response);
    const answerTo = async (path: string) => {
      try {
        return await answer(parts, path, INLINE);
      } catch (thrown) {
        parts.failed?.(thrown);
        throw thrown;
      }
    };
    const path = decodePath(request.url ?? "/");
    const isForDesk = path?.startsWith(`${REQUESTS_PATH}/`) === true;
    if (parts.desk !== undefined && path !== undefined && isForDesk)
      await respondFromDesk(parts.desk, path, request, response);
    else await respond(answerTo, request, response);
  });
}

/** As `respond`, for requests of a mirror. */
async function respondFromDesk(
  desk: RequestDesk,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const { status, type, text, location } = await desk.answer({
      method: request.method ?? "",
      path,
      authorization: request.headers.authorization,
      body: () => boundedBody(request),
    });
    if (location !== undefined) response.setHeader("Location", location);
    if (status === 401) response.setHeader("WWW-Authenticate", "Bearer");
    // What was not read of a body is not waited for.
    if (!request.complete) response.setHeader("Connection", "close");
    sendText(request, response, status, text, type);
  } catch (thrown) {
    const error = asMirrorError(thrown, "mirror");
    response.setHeader("Retry-After", "5");
    sendText(request, response, 503, `${error.message.replace(/[\p{Cc}\s]+/gu, " ")}\n`);
  }
}

/** Also of one whose client went away; `bytes` is what was to be sent of a body. */
function tellWhenAnswered(
  answered: NonNullable<HandlerParts["answered"]>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const started = performance.now();
  // The event comes under no trace of ours.
  const tell = AsyncResource.bind(answered);
  const client = request.socket.remoteAddress;
  response.once("close", () => {
    const hasBody = request.method !== "HEAD" && response.statusCode !== 304;
    tell({
      kind: kindOf(decodePath(request.url ?? "")),
      method: request.method ?? "",
      // What stands behind the path is no part of any question that we answer, and may be a secret.
      path: (request.url ?? "").split(/[?#]/, 1)[0] ?? "",
      status: response.statusCode,
      bytes: hasBody ? Number(response.getHeader("Content-Length") ?? 0) : 0,
      duration: performance.now() - started,
      ...(client === undefined ? {} : { client }),
    });
  });
}

/**
 * Answers one HTTP request by what `answerTo` says of its path: percent-decoded once, without leading slash.
 * Attacker-controlled; never throws.
 */
export async function respond(
  answerTo: (path: string) => Promise<Answer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      sendText(request, response, 405, "only GET and HEAD\n");
      return;
    }
    response.setHeader("X-Content-Type-Options", "nosniff");
    const path = decodePath(request.url ?? "/");
    if (path === undefined) sendText(request, response, 400, "bad request: the path is not well-formed\n");
    else await send(request, response, await answerTo(path));
  } catch (thrown) {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const error = asMirrorError(thrown, "mirror");
    response.setHeader("Retry-After", "5");
    sendText(request, response, 503, `${error.message.replace(/[\p{Cc}\s]+/gu, " ")}\n`);
  }
}

function kindOf(path: string | undefined): string {
  if (path === undefined) return "other";
  return parseTreeKey(path)?.kind ?? (path.startsWith("-/") ? "own" : "other");
}

/** The path of an origin-form target, decoded once; undefined when it is malformed. */
function decodePath(target: string): string | undefined {
  const end = target.search(/[?#]/);
  const path = end < 0 ? target : target.slice(0, end);
  if (!path.startsWith("/")) return undefined;
  try {
    return decodeURIComponent(path.slice(1));
  } catch {
    return undefined;
  }
}

function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
  type = "text/plain; charset=utf-8",
): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": bytes.length,
    "Cache-Control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

async function send(request: IncomingMessage, response: ServerResponse, reply: Answer): Promise<void> {
  if (reply.kind === "redirect") {
    response.writeHead(302, { Location: reply.location, "Cache-Control": "no-store" }).end();
    return;
  }
  if (reply.kind === "text") {
    if (reply.retryAfter !== undefined) response.setHeader("Retry-After", String(reply.retryAfter));
    sendText(request, response, reply.status, reply.text, reply.type);
    return;
  }
  try {
    await sendObject(request, response, reply);
  } finally {
    await reply.object.close();
  }
}

async function sendObject(
  request: IncomingMessage,
  response: ServerResponse,
  reply: Extract<Answer, { kind: "object" }>,
): Promise<void> {
  const { object } = reply;
  const etag = `"${object.etag}"`;
  const headers = {
    "Content-Type": reply.type,
    "Cache-Control": reply.cacheControl,
    ETag: etag,
    "Accept-Ranges": "bytes",
  };
  if (matches(request.headers["if-none-match"], etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const ifRange = request.headers["if-range"];
  // Range is defined for GET alone (RFC 9110, section 14.2).
  const ranged = request.method === "GET" && (ifRange === undefined || ifRange === etag);
  const wanted = ranged ? request.headers.range : undefined;
  const range = byteRange(wanted, object.size);
  if (range === "unsatisfiable") {
    response.writeHead(416, { "Content-Range": `bytes */${object.size}`, "Content-Length": 0 }).end();
    return;
  }
  const length = range === undefined ? object.size : range.end - range.start + 1;
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "Content-Length": length,
    ...(range === undefined ? {} : { "Content-Range": `bytes ${range.start}-${range.end}/${object.size}` }),
  });
  if (request.method === "HEAD" || length === 0) response.end();
  else await pipeline(object.stream(range), response);
}

function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  const tags = ifNoneMatch?.split(",").map((tag) => tag.trim().replace(/^W\//, "")) ?? [];
  return tags.some((tag) => tag === etag || tag === "*");
}
