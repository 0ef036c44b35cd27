import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerWithFault, type Fault, send, type TrueAnswer } from "./fault.ts";

/** A path as in the log (`/github.com/!burnt!sushi/toml/@v/v1.3.2.zip`), or an expression over it. */
type PathPattern = string | RegExp;

interface RequestLine {
  readonly method: string;
  /** As decoded from the URL, so that `%21` and `!` are one. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** The fault that answered; undefined where the true upstream did. */
  readonly fault: Fault["kind"] | undefined;
}

interface Faults {
  /** The fault for all that `pattern` matches; of several patterns the one set last wins. `times`: then it heals. */
  set(pattern: PathPattern, fault: Fault, times?: number): void;
  clear(): void;
}

export interface FaultyUpstream {
  readonly url: string;
  readonly faults: Faults;
  /** All requests since the start or the last clearLog(), in the order of their coming. */
  readonly log: readonly RequestLine[];
  clearLog(): void;
  close(): Promise<void>;
}

/**
 * Starts a proxy on a free loopback port in front of the upstream at `target`, which answers wrongly where it
 * is told to. All else, the checksum database included, passes through unaltered: so what a fault alters,
 * the database disproves.
 */
export async function startFaultyUpstream(target: string): Promise<FaultyUpstream> {
  let planted: { pattern: PathPattern; fault: Fault; left: number }[] = [];
  const log: RequestLine[] = [];

  const takeFault = (path: string): Fault | undefined => {
    const found = planted.find(({ pattern, left }) => left > 0 && matches(pattern, path));
    if (found !== undefined) found.left -= 1;
    return found?.fault;
  };
  const server = createServer((request, response) => {
    const rawPath = request.url ?? "/";
    const path = decodedPath(rawPath);
    const fault = takeFault(path);
    log.push({ method: request.method ?? "", path, headers: request.headers, fault: fault?.kind });
    answer(target, rawPath, fault, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(502, { "content-type": "text/plain" });
      response.end(`faulty upstream: ${error}\n`);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faults: {
      set: (pattern, fault, times = Number.POSITIVE_INFINITY) => {
        planted = [{ pattern, fault, left: times }, ...planted];
      },
      clear: () => {
        planted = [];
      },
    },
    log,
    clearLog: () => {
      log.length = 0;
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections(); // those that hang, too
      }),
  };
}

async function answer(
  target: string,
  path: string,
  fault: Fault | undefined,
  response: ServerResponse,
): Promise<void> {
  const fetchTrue = (asked: string) => fetchFrom(target, asked);
  if (fault === undefined) send(response, await fetchTrue(path));
  else await answerWithFault(fault, path, response, fetchTrue);
}

async function fetchFrom(target: string, path: string): Promise<TrueAnswer> {
  const response = await fetch(target + path, { redirect: "manual" });
  const contentType = response.headers.get("content-type") ?? undefined;
  return { status: response.status, contentType, body: Buffer.from(await response.arrayBuffer()) };
}

/** A path that is not well encoded is logged as it came: the true upstream says what is wrong with it. */
function decodedPath(rawPath: string): string {
  try {
    return decodeURIComponent(rawPath);
  } catch {
    return rawPath;
  }
}

function matches(pattern: PathPattern, path: string): boolean {
  if (typeof pattern === "string") return pattern === path;
  pattern.lastIndex = 0; // an expression with the g flag would go on from its last match
  return pattern.test(path);
}
