import pLimit from "p-limit";
import { buildConnector, Pool } from "undici";
import { basicAuthorization, type Netrc } from "../../gomod/netrc.ts";
import { MirrorError } from "../../mirror/errors.ts";
import manifest from "../../package.json" with { type: "json" };
import { guardedLookup, isRedirect, MOST_REDIRECTS, redirectTarget } from "./redirects.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { DEFAULT_TIMING, type Timing, Watchdog } from "./timing.ts";
import { type Exchange, type Reply, Transfer } from "./transfer.ts";
import type { UpstreamAddress } from "./upstream-url.ts";

/** Connections to one upstream, so exchanges at once: more bring nothing on loopback (measured) and annoy a registry. */
const CONNECTIONS = 16;
/** Other hosts that redirects have led to and whose connections are kept; storage behind a registry is one or two. */
const MOST_REDIRECT_HOSTS = 8;
/** Headers of one reply: Node's own default (--max-http-header-size). */
const LARGEST_HEADERS = 16 * 1024;
/** Idle connections are kept this long unless the server says less: below the 5 s after which node:http closes them. */
const KEEP_ALIVE = 4_000;

export interface HttpClientOptions {
  readonly timing?: Partial<Timing>;
  readonly connections?: number;
  /** Logins for an https address without user-info; go sends none of them over plain http either (web.Get). */
  readonly netrc?: Netrc;
  /** Ends all that runs and refuses what is asked later. */
  readonly signal?: AbortSignal;
}

/** What is asked of the upstream. */
export interface HttpRequest {
  readonly subject: string;
  /** Below the upstream's address, escaped, without a slash in front. */
  readonly path: string;
  /** Most bytes of a 200's body. */
  readonly limit: number;
  readonly spool?: SpoolChunks;
}

/**
 * GETs below one upstream's address, over few kept connections (HTTP/1.1, no pipelining): bounded in size, time and
 * redirects. Credentials go to the upstream's own origin only. Proxies and CAs come with `egress` (a later issue):
 * they are options of the connector.
 */
export class HttpClient {
  readonly address: UpstreamAddress;
  /** Strings that no message may hold. */
  readonly secrets: readonly string[];
  readonly #netrc: Netrc | undefined;
  readonly #timing: Timing;
  readonly #watchdog: Watchdog;
  readonly #connections: number;
  readonly #slot: ReturnType<typeof pLimit>;
  readonly #pools = new Map<string, Pool>();
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#stop();
  #redirects = 0;

  constructor(address: UpstreamAddress, options: HttpClientOptions = {}) {
    this.address = address;
    const wantsNetrc = address.authorization === undefined && address.origin.protocol === "https:";
    this.#netrc = wantsNetrc ? options.netrc : undefined;
    this.secrets = [...address.secrets, ...netrcSecrets(this.#netrc, address.origin.host)];
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#watchdog = new Watchdog(this.#timing);
    this.#connections = options.connections ?? CONNECTIONS;
    this.#slot = pLimit(this.#connections);
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Redirects followed so far: requests beside those that were asked for. */
  get redirects(): number {
    return this.#redirects;
  }

  /**
   * One GET, redirects followed, any status. Waits for a free connection first; time counts from then on.
   * @throws MirrorError transient or malformed, see Transfer; malformed for a redirect that is not followed.
   */
  get(request: HttpRequest): Promise<Reply> {
    return this.#slot(() => this.#get(request));
  }

  /** Closes idle connections and waits for what runs. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  async #get({ subject, path, limit, spool }: HttpRequest): Promise<Reply> {
    const { origin, prefix, query, name } = this.address;
    const startedAt = performance.now();
    const exchange = { subject, limit, timing: this.#timing, startedAt, ...(spool && { spool }) };
    const target = `${prefix}/${path}${query}`;
    const authorization = this.#authorization(target);
    let reply = await this.#exchange(origin, target, authorization, { ...exchange, server: name });
    let url: URL | undefined;
    for (let hops = 0; isRedirect(reply.status); hops++) {
      if (hops === MOST_REDIRECTS) throw this.#notFollowed(subject, `more than ${MOST_REDIRECTS} redirects`);
      const next = redirectTarget(reply.headers.location, url ?? new URL(target, origin), origin);
      if ("refused" in next) throw this.#notFollowed(subject, next.refused);
      url = next.url;
      this.#redirects++;
      // A presigned URL is a secret in its path and query: only its host is named.
      const server = url.origin === origin.origin ? name : `${url.origin} (redirected from ${name})`;
      reply = await this.#exchange(url, url.pathname + url.search, authorization, { ...exchange, server });
    }
    return reply;
  }

  /** The Authorization of what is asked below our address; its redirects on the same origin keep it. */
  #authorization(target: string): string | undefined {
    const { authorization, origin } = this.address;
    const login = this.#netrc?.lookup(origin.host + target);
    return login === undefined ? authorization : basicAuthorization(login);
  }

  async #exchange(
    to: URL,
    path: string,
    authorization: string | undefined,
    exchange: Exchange,
  ): Promise<Reply> {
    const transfer = new Transfer(exchange, this.#watchdog);
    if (this.#signal?.aborted) transfer.fail(stopped(exchange.subject));
    else
      this.#pool(to).dispatch({ method: "GET", path, headers: this.#headers(to, authorization) }, transfer);
    return await transfer.reply;
  }

  #headers(to: URL, authorization: string | undefined): string[] {
    const headers = ["user-agent", `modferry/${manifest.version}`, "accept-encoding", "identity"];
    if (authorization !== undefined && to.origin === this.address.origin.origin)
      headers.push("authorization", authorization);
    return headers;
  }

  #pool(to: URL): Pool {
    const { origin } = this.address;
    const key = to.origin;
    const known = this.#pools.get(key);
    if (known !== undefined) return known;
    const own = key === origin.origin;
    const pool = newPool(
      key,
      this.#connections,
      this.#timing.connect,
      own ? undefined : guardedLookup(origin),
    );
    this.#pools.set(key, pool);
    if (this.#pools.size > MOST_REDIRECT_HOSTS + 1) this.#retire(key);
    return pool;
  }

  /** Gives up the oldest redirect host other than `but`; what runs there ends well. */
  #retire(but: string): void {
    for (const [key, pool] of this.#pools) {
      if (key === this.address.origin.origin || key === but) continue;
      this.#pools.delete(key);
      void pool.close();
      return;
    }
  }

  #stop(): void {
    // Each running transfer gets undici's ClientDestroyedError, which networkFault knows.
    for (const pool of this.#pools.values()) void pool.destroy();
  }

  #notFollowed(subject: string, what: string): MirrorError {
    const message = `${subject}: ${this.address.name} answered with ${what}, which is not followed; tell its operator`;
    return new MirrorError("malformed", subject, message);
  }
}

/** As those of a URL's user-info: a server may send back what it was sent. A name may be public, a password never. */
function netrcSecrets(netrc: Netrc | undefined, host: string): string[] {
  return (netrc?.onHost(host) ?? []).flatMap((login) => {
    const token = basicAuthorization(login).slice("Basic ".length);
    return [login.login, login.password, token];
  });
}

function stopped(subject: string): MirrorError {
  return new MirrorError("transient", subject, `${subject}: the work was stopped; run again to go on`);
}

function newPool(
  origin: string,
  connections: number,
  timeout: number,
  lookup: ReturnType<typeof guardedLookup>,
): Pool {
  const connect = buildConnector({ timeout, ...(lookup && { lookup }) });
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
