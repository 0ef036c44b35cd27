import { createServer, type IncomingMessage, request, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";

/** What the proxy does with a request. */
export type Manner =
  | "forward"
  | "wants other credentials"
  | "forbids"
  | "hangs"
  | "fails"
  | "cuts"
  | "talks first"
  | "trickles";

/** An HTTP proxy on loopback: CONNECT and plain requests. It alone knows where the hosts of a test are. */
export interface LoopbackProxy {
  readonly port: number;
  /** Ports on loopback by `host` or `host:port`. */
  readonly hosts: Map<string, number>;
  /** `CONNECT host:port` or `GET http://…`, with the credentials that came along. */
  readonly asked: { readonly line: string; readonly authorization: string | undefined }[];
  manner: Manner;
  close(): Promise<void>;
}

const ANSWERS: Partial<Record<Manner, string>> = {
  "wants other credentials":
    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
  forbids: "HTTP/1.1 403 Forbidden\r\n\r\n",
  fails: "HTTP/1.1 502 Bad Gateway\r\n\r\n",
  "talks first": "HTTP/1.1 200 OK\r\n\r\nwelcome, user",
};

/** @param secure key and certificate of a proxy that is itself spoken to by TLS. */
export async function startLoopbackProxy(secure?: { key: string; cert: string }): Promise<LoopbackProxy> {
  const sockets = new Set<Socket>();
  const hosts = new Map<string, number>();
  const asked: LoopbackProxy["asked"][number][] = [];
  const note = (incoming: IncomingMessage) => {
    const authorization = incoming.headers["proxy-authorization"];
    asked.push({ line: `${incoming.method} ${incoming.url}`, authorization });
  };
  const portOf = (host: string) => hosts.get(host) ?? hosts.get(host.replace(/:\d+$/, "")) ?? 1;
  const server: Server =
    secure === undefined ? createServer() : (createSecureServer(secure) as unknown as Server);
  const proxy: LoopbackProxy = {
    get port() {
      return (server.address() as AddressInfo).port;
    },
    hosts,
    asked,
    manner: "forward",
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("connect", (incoming: IncomingMessage, socket: Socket) => {
    note(incoming);
    socket.on("error", () => {});
    if (proxy.manner === "hangs") return;
    if (proxy.manner === "trickles") {
      socket.write("HTTP/1.1 200 OK\r\nX: ");
      const timer = setInterval(() => socket.write("x"), 20);
      socket.on("close", () => clearInterval(timer));
      return;
    }
    if (proxy.manner === "cuts") return void socket.destroy();
    const answer = ANSWERS[proxy.manner];
    if (answer !== undefined) return void socket.end(answer);
    const upstream = connect(portOf(incoming.url ?? ""), "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    socket.on("close", () => upstream.destroy());
  });
  server.on("request", (incoming, response) => {
    note(incoming);
    if (proxy.manner === "hangs") return;
    if (proxy.manner !== "forward")
      return void response.writeHead(proxy.manner === "wants other credentials" ? 407 : 502).end();
    const url = new URL(incoming.url ?? "");
    const { "proxy-authorization": _dropped, ...headers } = incoming.headers;
    const options = { host: "127.0.0.1", port: portOf(url.host), path: url.pathname + url.search, headers };
    request(options, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return proxy;
}
