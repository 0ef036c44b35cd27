import type { ServerResponse } from "node:http";

/** What the upstream answered, before a fault is laid over it. */
export interface TrueAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

/**
 * One way in which an upstream can be wrong.
 * - `flip-byte`: one bit of the byte at `at` (default: the middle) is inverted; the length stays.
 * - `cut`: the body ends after `keep` bytes (default: half). With `length: "matching"` Content-Length says
 *   so; with `"original"` it still promises the whole body and the connection is destroyed.
 * - `html`, `empty`: status 200 with a page, such as a captive portal's, or with nothing.
 * - `other`: status 200 with what the upstream has at `path` (another module's zip, an older tile).
 * - `status`: that status with a text/plain body; `retryAfter` in seconds.
 * - `hang`: the request is taken and never answered.
 * - `trickle`: the true answer, one byte every `everyMs` milliseconds.
 * - `endless`: status 200 and bytes without end, as long as the client reads.
 * - `redirect-loop`: 302 to the same path, for ever.
 * - `redirect`: 302 to `to`, an absolute URL.
 */
export type Fault =
  | { readonly kind: "flip-byte"; readonly at?: number }
  | { readonly kind: "cut"; readonly length: "matching" | "original"; readonly keep?: number }
  | { readonly kind: "html" | "empty" | "hang" | "endless" | "redirect-loop" }
  | { readonly kind: "other"; readonly path: string }
  | { readonly kind: "status"; readonly status: number; readonly retryAfter?: number; readonly body?: string }
  | { readonly kind: "trickle"; readonly everyMs: number }
  | { readonly kind: "redirect"; readonly to: string };

const PAGE = "<!DOCTYPE html>\n<html><body><h1>Sign in to the network</h1></body></html>\n";
const ENDLESS_CHUNK = Buffer.alloc(65_536, "x");

/** Answers `path` wrongly. `fetchTrue` asks the true upstream for a path. */
export async function answerWithFault(
  fault: Fault,
  path: string,
  response: ServerResponse,
  fetchTrue: (path: string) => Promise<TrueAnswer>,
): Promise<void> {
  switch (fault.kind) {
    case "flip-byte":
      return send(response, flipBit(await fetchTrue(path), fault.at));
    case "cut":
      return cut(response, await fetchTrue(path), fault);
    case "html":
      return send(response, {
        status: 200,
        contentType: "text/html; charset=utf-8",
        body: Buffer.from(PAGE),
      });
    case "empty":
      return send(response, { status: 200, contentType: undefined, body: Buffer.alloc(0) });
    case "other":
      return send(response, await fetchTrue(fault.path));
    case "status": {
      if (fault.retryAfter !== undefined) response.setHeader("retry-after", String(fault.retryAfter));
      const body = Buffer.from(fault.body ?? `planted fault: ${fault.status}\n`);
      return send(response, { status: fault.status, contentType: "text/plain; charset=utf-8", body });
    }
    case "hang":
      return;
    case "trickle":
      return trickle(response, await fetchTrue(path), fault.everyMs);
    case "endless":
      return endless(response);
    case "redirect-loop":
    case "redirect":
      response.writeHead(302, { location: fault.kind === "redirect" ? fault.to : path, "content-length": 0 });
      response.end();
  }
}

/** Sends a whole answer with its length. */
export function send(response: ServerResponse, answer: TrueAnswer): void {
  writeHead(response, answer, answer.body.length);
  response.end(answer.body);
}

function writeHead(response: ServerResponse, answer: TrueAnswer, length: number): void {
  if (answer.contentType !== undefined) response.setHeader("content-type", answer.contentType);
  response.writeHead(answer.status, { "content-length": length });
}

function flipBit(answer: TrueAnswer, at = Math.floor(answer.body.length / 2)): TrueAnswer {
  const body = Buffer.from(answer.body);
  if (at >= body.length) throw new Error(`flip-byte at ${at}: the body has ${body.length} bytes`);
  body.writeUInt8(body.readUInt8(at) ^ 1, at);
  return { ...answer, body };
}

function cut(response: ServerResponse, answer: TrueAnswer, fault: Fault & { kind: "cut" }): void {
  const kept = answer.body.subarray(0, fault.keep ?? Math.floor(answer.body.length / 2));
  if (fault.length === "matching") {
    send(response, { ...answer, body: kept });
    return;
  }
  writeHead(response, answer, answer.body.length);
  // Destroyed only once the kept bytes are handed to the system, or the client would see less than `keep`.
  response.write(kept, () => response.socket?.destroySoon());
}

function trickle(response: ServerResponse, answer: TrueAnswer, everyMs: number): void {
  writeHead(response, answer, answer.body.length);
  let sent = 0;
  const timer = setInterval(() => {
    if (sent < answer.body.length) response.write(answer.body.subarray(sent, ++sent));
    else response.end();
  }, everyMs);
  response.once("close", () => clearInterval(timer));
}

function endless(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/octet-stream" });
  const pump = () => {
    while (!response.destroyed && response.write(ENDLESS_CHUNK));
  };
  response.on("drain", pump);
  pump();
}
