import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** One request and its reply, whole. */
export interface Exchange {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  readonly status: number;
  readonly reply: Buffer;
}

/**
 * A relay on loopback that shows each exchange, and lets none be over sooner than `latency` says: so that what waits for
 * a service that is far away takes as long as it would there.
 */
export async function startRelay(
  target: string,
  latency: (exchange: Pick<Exchange, "method" | "path" | "headers">) => number,
  seen: (exchange: Exchange) => void,
): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((request, reply) => {
    relay(target, request, reply, latency, seen).catch((error: unknown) => {
      reply.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function relay(
  target: string,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  latency: Parameters<typeof startRelay>[1],
  seen: Parameters<typeof startRelay>[2],
): Promise<void> {
  const begun = performance.now();
  const { method = "GET", url: path = "/", headers } = incoming;
  const body = await whole(incoming);
  const { expect: _expect, ...rest } = headers;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = send(`${target}${path}`, { method, headers: rest }, resolve).on("error", reject);
    asked.end(body);
  });
  const reply = await whole(answer);
  const wait = latency({ method, path, headers }) - (performance.now() - begun);
  if (wait > 0) await sleep(wait);
  const { "transfer-encoding": _chunked, connection: _connection, ...told } = answer.headers;
  outgoing.writeHead(answer.statusCode ?? 502, told);
  outgoing.end(method === "HEAD" ? undefined : reply);
  seen({ method, path, headers, body, status: answer.statusCode ?? 502, reply });
}

async function whole(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk);
  return Buffer.concat(chunks);
}
