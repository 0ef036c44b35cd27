import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { compareStamps, type IndexStamp, indexStamp } from "../../gomod/index-stamp.ts";

/** One line of a module index. */
export interface IndexLine {
  readonly Path: string;
  readonly Version: string;
  readonly Timestamp: string;
}

/** What the index does to one request instead of answering it; undefined to answer. */
export type Fault = (request: IncomingMessage, reply: ServerResponse) => boolean;

/** A module index on loopback: NDJSON in time order, `since` inclusive, at most 2,000 lines. */
export interface LoopbackIndex {
  readonly url: string;
  readonly lines: IndexLine[];
  /** Queries so far. */
  readonly asked: URLSearchParams[];
  fault: Fault | undefined;
  close(): Promise<void>;
}

export async function startIndex(lines: IndexLine[] = []): Promise<LoopbackIndex> {
  const index: Omit<LoopbackIndex, "url" | "close"> = { lines, asked: [], fault: undefined };
  const server = createServer((request, reply) => {
    const url = new URL(request.url ?? "/", "http://index");
    index.asked.push(url.searchParams);
    if (index.fault?.(request, reply) === true) return;
    if (url.pathname !== "/index") return void reply.writeHead(404).end();
    const { searchParams } = url;
    reply.end(
      printLines(
        answerIndex(index.lines, searchParams.get("since") ?? "", Number(searchParams.get("limit") ?? 2000)),
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(index, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}

/** What an index with these lines, in time order, answers. */
export function answerIndex(lines: readonly IndexLine[], since: string, limit: number): IndexLine[] {
  const from = since === "" ? undefined : indexStamp(since);
  let low = 0;
  let high = from === undefined ? 0 : lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const isBefore = compareStamps(lines[middle]?.Timestamp as IndexStamp, from as IndexStamp) < 0;
    if (isBefore) low = middle + 1;
    else high = middle;
  }
  return lines.slice(low, low + Math.min(limit, 2000));
}

export function printLines(lines: readonly IndexLine[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}
