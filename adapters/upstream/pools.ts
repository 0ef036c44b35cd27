import { buildConnector, Pool } from "undici";
import type { Egress } from "../egress/egress.ts";
import type { HttpProxy } from "../egress/proxy.ts";
import { openTunnel } from "../egress/proxy-tunnel.ts";
import { guardedLookup } from "./redirects.ts";

/** Other hosts that redirects have led to and whose connections are kept; storage behind a registry is one or two. */
const MOST_REDIRECT_HOSTS = 8;
/** Headers of one reply: Node's own default (--max-http-header-size). */
const LARGEST_HEADERS = 16 * 1024;
/** Idle connections are kept this long unless the server says less: below the 5 s after which node:http closes them. */
const KEEP_ALIVE = 4_000;

/** How one request goes out. */
export interface Route {
  readonly pool: Pool;
  /** For the request line: the path, or the whole URL where a proxy passes it on (RFC 9112, 3.2.2). */
  readonly target: string;
  /** What has to go along to be passed on, names and values. */
  readonly headers: readonly string[];
  /** The proxy that answers for itself with 407 on this way. */
  readonly proxy: HttpProxy | undefined;
}

/**
 * Connections to one upstream and to where it redirects, each directly or through the proxy that the egress names for it:
 * https through a tunnel (CONNECT), http as a request to the proxy, as the go command does it.
 */
export class Pools {
  readonly #origin: URL;
  readonly #egress: Egress;
  readonly #connections: number;
  readonly #connectTime: number;
  readonly #pools = new Map<string, Pool>();

  /** @param connectTime of each connection, its tunnel included, in ms. */
  constructor(origin: URL, egress: Egress, connections: number, connectTime: number) {
    this.#origin = origin;
    this.#egress = egress;
    this.#connections = connections;
    this.#connectTime = connectTime;
  }

  /** The way to a server. @throws MirrorError where the proxy's secret cannot be read. */
  async route(to: URL, path: string): Promise<Route> {
    const proxy = this.#egress.proxyFor(to);
    if (proxy === undefined) {
      const own = to.origin === this.#origin.origin;
      const lookup = own ? undefined : guardedLookup(this.#origin);
      const connect = buildConnector({ timeout: this.#connectTime, ...(lookup && { lookup }) });
      return { pool: this.#pool(to.origin, to.origin, connect), target: path, headers: [], proxy: undefined };
    }
    if (to.protocol === "https:") {
      const connect = tunnelled(proxy, this.#connectTime);
      return { pool: this.#pool(to.origin, to.origin, connect), target: path, headers: [], proxy: undefined };
    }
    const authorization = await proxy.authorization();
    const connect = buildConnector({ timeout: this.#connectTime });
    return {
      pool: this.#pool(to.origin, proxy.origin.origin, connect),
      target: `${to.origin}${path}`,
      headers: [
        "host",
        to.host,
        ...(authorization === undefined ? [] : ["proxy-authorization", authorization]),
      ],
      proxy,
    };
  }

  /** Closes idle connections and waits for what runs. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  /** Ends what runs: each transfer gets undici's ClientDestroyedError, which networkFault knows. */
  destroy(): void {
    for (const pool of this.#pools.values()) void pool.destroy();
  }

  #pool(key: string, connectTo: string, connect: buildConnector.connector): Pool {
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const pool = newPool(connectTo, this.#connections, connect);
    this.#pools.set(key, pool);
    if (this.#pools.size > MOST_REDIRECT_HOSTS + 1) this.#retire(key);
    return pool;
  }

  /** Gives up the oldest redirect host other than `but`; what runs there ends well. */
  #retire(but: string): void {
    for (const [key, pool] of this.#pools) {
      if (key === this.#origin.origin || key === but) continue;
      this.#pools.delete(key);
      void pool.close();
      return;
    }
  }
}

/** TLS with the server inside of the proxy's tunnel. */
function tunnelled(proxy: HttpProxy, timeout: number): buildConnector.connector {
  const connectTls = buildConnector({ timeout });
  return (options, callback) => {
    const target = {
      host: options.hostname.replace(/^\[|\]$/g, ""),
      port: Number(options.port || 443),
    };
    openTunnel(proxy, target, timeout).then(
      (httpSocket) => connectTls({ ...options, httpSocket }, callback),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
}

function newPool(origin: string, connections: number, connect: buildConnector.connector): Pool {
  return new Pool(origin, {
    connections,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: LARGEST_HEADERS,
    keepAliveTimeout: KEEP_ALIVE,
    // The watchdog keeps these times: undici's own begin anew with each informational reply.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: (options, callback) => {
      connect(options, (...result) => {
        renameResets(result[1]);
        callback(...result);
      });
    },
  });
}

/**
 * undici 7.30 takes a reset of a connection that was to be closed after the reply as the body's end: a cut body
 * without a length would pass as whole, and if the reader is held back at that moment, an assertion ends the process
 * (client-h1.js, onHttpSocketError; tried). It looks for the code ECONNRESET; under another it is a plain error.
 */
function renameResets(
  socket: { on(event: "error", listener: (error: Error) => void): unknown } | null,
): void {
  socket?.on("error", (error) => {
    if ("code" in error && error.code === "ECONNRESET") error.code = "RESET";
  });
}
