import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { moduleVersion } from "../../../gomod/version.ts";
import { MirrorError } from "../../../mirror/errors.ts";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A loopback upstream whose every path answers as the test says; 404 where it says nothing. */
export interface FaultServer {
  /** http://127.0.0.1:port */
  readonly url: string;
  readonly answers: Map<string, Answer>;
  /** Every request so far, `path`, in order. */
  readonly asked: string[];
  readonly headers: IncomingMessage["headers"][];
  /** Connections open now. */
  open(): number;
  /** Connections ever made. */
  made(): number;
  close(): Promise<void>;
}

export async function startFaultServer(fallback?: Answer): Promise<FaultServer> {
  const answers = new Map<string, Answer>();
  const asked: string[] = [];
  const headers: IncomingMessage["headers"][] = [];
  const sockets = new Set<Socket>();
  let made = 0;
  const server: Server = createServer((request, response) => {
    response.on("error", () => {});
    asked.push(request.url ?? "");
    headers.push(request.headers);
    const answer = answers.get(request.url ?? "") ?? fallback;
    if (answer !== undefined) answer(request, response);
    else response.writeHead(404).end();
  });
  server.on("connection", (socket) => {
    made++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    asked,
    headers,
    open: () => sockets.size,
    made: () => made,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

export const status =
  (code: number, body = "", headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(code, headers).end(body);

export const ok = (body: string | Uint8Array, headers: Record<string, string> = {}): Answer => {
  return (_, response) => void response.writeHead(200, headers).end(body);
};

/** Writes bytes below HTTP's rules: the reply is exactly `text`, then what `then` does with the socket. */
export const raw =
  (text: string | Uint8Array, then: "end" | "reset" | "stay" = "stay"): Answer =>
  (request) => {
    const { socket } = request;
    socket.write(text, () => {
      if (then === "end") socket.end();
      if (then === "reset") setTimeout(() => socket.resetAndDestroy(), 5);
    });
  };

export const sample = moduleVersion("example.com/Sample/mod", "v1.2.3");
export const samplePath = "/example.com/%21sample/mod/@v/v1.2.3";
export const other = moduleVersion("example.com/other", "v1.0.0");
export const otherPath = "/example.com/other/@v/v1.0.0";
/** The first bytes of a zip, and filler: no more is looked at here. */
export const zipBytes = (size = 100): Buffer =>
  Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.alloc(size - 4, 7)]);

/** Retries that wait for nothing and note what they would have waited. */
export function quickTools(waits: number[] = []) {
  let now = 1_000_000;
  return {
    clock: () => now,
    random: () => 0,
    sleep: async (milliseconds: number) => {
      waits.push(milliseconds);
      now += milliseconds;
    },
  };
}

/** The MirrorError that `work` throws; fails when it throws none or something else. */
export async function mirrorError(work: Promise<unknown>): Promise<MirrorError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof MirrorError) return error;
    throw new Error("threw something else than a MirrorError", { cause: error });
  }
  throw new Error("did not throw");
}
