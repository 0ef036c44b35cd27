import { isUtf8 } from "node:buffer";
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from "aws-lambda";
import type { Answer } from "../mirror/answer.ts";
import { REQUESTS_PATH } from "../mirror/request-desk.ts";
import type { FunctionLog } from "./function-log.ts";

/**
 * The path below the stage, decoded once: the gateway has decoded it or not, and no path of ours has a `%` in it. The
 * desk of requests is a resource of its own (infra/endpoint-stack.ts). Attacker-controlled.
 */
export function requestPath(event: Pick<APIGatewayProxyEvent, "pathParameters" | "path">): string {
  const { proxy, request } = event.pathParameters ?? {};
  const atDesk = request === undefined ? undefined : `${REQUESTS_PATH}/${request}`;
  const path = atDesk ?? proxy ?? event.path.replace(/^\//, "");
  try {
    return path.includes("%") ? decodeURIComponent(path) : path;
  } catch {
    return path;
  }
}

/**
 * An answer as API Gateway's Lambda proxy takes it. Text goes as text: MiniStack decodes base64 only where the request's
 * Accept header matches, and go sends none. Whether AWS does so too, with all media types binary, is not proven here.
 */
export async function gatewayReply(
  reply: Answer,
  headers: APIGatewayProxyEvent["headers"],
): Promise<APIGatewayProxyResult> {
  if (reply.kind === "redirect") {
    return { statusCode: 302, headers: { Location: reply.location, "Cache-Control": "no-store" }, body: "" };
  }
  if (reply.kind === "text") {
    return text(reply.status, reply.text, {
      ...(reply.type === undefined ? {} : { "Content-Type": reply.type, "Cache-Control": "no-store" }),
      ...(reply.retryAfter === undefined ? {} : { "Retry-After": String(reply.retryAfter) }),
    });
  }
  const { object } = reply;
  try {
    const etag = `"${object.etag}"`;
    const common = { "Content-Type": reply.type, "Cache-Control": reply.cacheControl, ETag: etag };
    if (header(headers, "if-none-match") === etag) return { statusCode: 304, headers: common, body: "" };
    const body = Buffer.from(await object.read(0, object.size));
    if (isUtf8(body)) return { statusCode: 200, headers: common, body: body.toString("utf8") };
    return { statusCode: 200, headers: common, body: body.toString("base64"), isBase64Encoded: true };
  } finally {
    await object.close();
  }
}

/** A store that does not answer is a 503, never a 404: the client must not go on to the next proxy. */
export function unavailable(thrown: unknown, log: FunctionLog): APIGatewayProxyResult {
  log.failure("request-failed", "storage of the mirror does not answer", thrown);
  return text(503, "the mirror's storage does not answer; try again\n", { "Retry-After": "5" });
}

function text(status: number, body: string, headers: Record<string, string>): APIGatewayProxyResult {
  return {
    statusCode: status,
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      ...(status === 200 ? {} : { "Cache-Control": "no-store" }),
      ...headers,
    },
    body,
  };
}

/** By lower-case name. */
export function header(headers: APIGatewayProxyEvent["headers"], name: string): string | undefined {
  return Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
}
