import { type ClientRequestArgs, Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent, type RequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { NodeHttpHandler, type NodeHttpHandlerOptions } from "@smithy/node-http-handler";
import type { Egress } from "../egress/egress.ts";
import type { HttpProxy } from "../egress/proxy.ts";
import { openTunnel } from "../egress/proxy-tunnel.ts";

type HandlerOptions = NodeHttpHandlerOptions & {
  readonly connectionTimeout: number;
  readonly httpAgent: { readonly keepAlive: boolean; readonly maxSockets: number };
};
type Handled = Parameters<NodeHttpHandler["handle"]>;

/** What the SDK's own agent adds to a connection's options. */
interface Connection {
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
}

type Connected = (error: Error | null, socket: Duplex) => void;

/**
 * Sends each of the SDK's requests directly or through a proxy, as the egress says for its address. Through a proxy
 * nothing waits for `100 Continue`, since the SDK does not with agents that are not its own (node-http-handler,
 * writeRequestBody) and proxies may swallow it: S3Bucket looks itself whether an upload that broke off is there already.
 */
export class ProxiedHandler {
  readonly metadata = { handlerProtocol: "http/1.1" };
  readonly #egress: Egress;
  readonly #options: HandlerOptions;
  readonly #direct: NodeHttpHandler;
  readonly #byProxy = new Map<HttpProxy, NodeHttpHandler>();

  constructor(egress: Egress, options: HandlerOptions) {
    this.#egress = egress;
    this.#options = options;
    this.#direct = new NodeHttpHandler(options);
  }

  handle(request: Handled[0], options?: Handled[1]): ReturnType<NodeHttpHandler["handle"]> {
    const { protocol, hostname, port } = request;
    const host = hostname.includes(":") && !hostname.startsWith("[") ? `[${hostname}]` : hostname;
    const address = `${protocol}//${host}${port === undefined ? "" : `:${port}`}`;
    const proxy = this.#egress.proxyFor(new URL(address));
    if (proxy === undefined) return this.#direct.handle(request, options);
    // Not signed (SigV4 leaves it out), and dropped by name in whatever case.
    for (const name of Object.keys(request.headers))
      if (name.toLowerCase() === "expect") delete request.headers[name];
    return this.#through(proxy).handle(request, options);
  }

  updateHttpClientConfig(...change: Parameters<NodeHttpHandler["updateHttpClientConfig"]>): void {
    this.#direct.updateHttpClientConfig(...change);
    for (const handler of this.#byProxy.values()) handler.updateHttpClientConfig(...change);
  }

  httpHandlerConfigs(): ReturnType<NodeHttpHandler["httpHandlerConfigs"]> {
    return this.#direct.httpHandlerConfigs();
  }

  destroy(): void {
    this.#direct.destroy();
    for (const handler of this.#byProxy.values()) handler.destroy();
  }

  #through(proxy: HttpProxy): NodeHttpHandler {
    const known = this.#byProxy.get(proxy);
    if (known !== undefined) return known;
    const { connectionTimeout, httpAgent } = this.#options;
    const handler = new NodeHttpHandler({
      ...this.#options,
      httpAgent: new TunnelAgent(httpAgent, proxy, connectionTimeout),
      httpsAgent: new SecureTunnelAgent(httpAgent, proxy, connectionTimeout),
    });
    this.#byProxy.set(proxy, handler);
    return handler;
  }
}

/** http through a tunnel too: only emulators and endpoints of one's own are asked so. */
class TunnelAgent extends HttpAgent {
  readonly #proxy: HttpProxy;
  readonly #timeout: number;

  constructor(options: HandlerOptions["httpAgent"], proxy: HttpProxy, timeout: number) {
    super(options);
    this.#proxy = proxy;
    this.#timeout = timeout;
  }

  override createConnection(options: ClientRequestArgs, connected?: Connected): null {
    tunnel(this.#proxy, options, 80, this.#timeout, (error, socket) => connected?.(error, socket));
    return null;
  }
}

class SecureTunnelAgent extends HttpsAgent {
  readonly #proxy: HttpProxy;
  readonly #timeout: number;

  constructor(options: HandlerOptions["httpAgent"], proxy: HttpProxy, timeout: number) {
    super(options);
    this.#proxy = proxy;
    this.#timeout = timeout;
  }

  override createConnection(options: RequestOptions, connected?: Connected): null {
    tunnel(this.#proxy, options, 443, this.#timeout, (error, socket) => {
      if (error !== null) return connected?.(error, socket);
      // Whoever asked is told of a failed handshake as of any other end of its connection.
      connected?.(null, connectTls({ ...(options as object), socket }));
    });
    return null;
  }
}

function tunnel(
  proxy: HttpProxy,
  { host, port }: Connection,
  usual: number,
  timeout: number,
  connected: Connected,
): void {
  const target = { host: host ?? "localhost", port: Number(port ?? usual) };
  openTunnel(proxy, target, timeout).then(
    (socket) => connected(null, socket),
    (thrown: unknown) => {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      connected(error, undefined as unknown as Duplex);
    },
  );
}
