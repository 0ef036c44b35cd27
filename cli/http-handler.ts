import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { asMirrorError } from "../mirror/errors.ts";
import { type Answer, answer, type ServeParts } from "../mirror/serve.ts";
import { byteRange } from "./byte-range.ts";
import { IDENTITY_HEADER } from "./mirror-identity.ts";

/** Everything is sent by this process. */
const INLINE = Number.POSITIVE_INFINITY;

/** @param identity says which mirror this is, so that it is never its own upstream (mirror-identity.ts). */
type HandlerParts = ServeParts & { readonly identity: string };

/** Answers one HTTP request of a client from the mirror. Attacker-controlled; never throws. */
export async function handleRequest(
  parts: HandlerParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader(IDENTITY_HEADER, parts.identity);
  await respond((path) => answer(parts, path, INLINE), request, response);
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

function sendText(request: IncomingMessage, response: ServerResponse, status: number, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
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
    sendText(request, response, reply.status, reply.text);
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
