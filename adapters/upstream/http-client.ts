import pLimit from "p-limit";
import { basicAuthorization, type Netrc } from "../../gomod/netrc.ts";
import { MirrorError } from "../../mirror/errors.ts";
import manifest from "../../package.json" with { type: "json" };
import { directEgress, type Egress } from "../egress/egress.ts";
import { refusedByProxy } from "./network-fault.ts";
import { Pools } from "./pools.ts";
import { isRedirect, MOST_REDIRECTS, redirectTarget } from "./redirects.ts";
import type { SpoolChunks } from "./reply-body.ts";
import { DEFAULT_TIMING, type Timing, Watchdog } from "./timing.ts";
import { type Exchange, type Reply, Transfer } from "./transfer.ts";
import type { UpstreamToken } from "./upstream-token.ts";
import type { UpstreamAddress } from "./upstream-url.ts";

/** Connections to one upstream, so exchanges at once: more bring nothing on loopback (measured) and annoy a registry. */
const CONNECTIONS = 16;

export interface HttpClientOptions {
  readonly timing?: Partial<Timing>;
  readonly connections?: number;
  /** Logins for an https address without user-info; go sends none of them over plain http either (web.Get). */
  readonly netrc?: Netrc;
  /** In place of user-info and netrc; it goes where they would go. */
  readonly token?: UpstreamToken;
  /** Which proxy leads where; directly unless told otherwise. */
  readonly egress?: Egress;
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
 * redirects. Credentials go to the upstream's own origin only.
 */
export class HttpClient {
  readonly address: UpstreamAddress;
  readonly #secrets: readonly string[];
  readonly #token: UpstreamToken | undefined;
  readonly #netrc: Netrc | undefined;
  readonly #timing: Timing;
  readonly #watchdog: Watchdog;
  readonly #slot: ReturnType<typeof pLimit>;
  readonly #pools: Pools;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#stop();
  #redirects = 0;

  constructor(address: UpstreamAddress, options: HttpClientOptions = {}) {
    this.address = address;
    this.#token = options.token;
    const wantsNetrc =
      address.authorization === undefined &&
      options.token === undefined &&
      address.origin.protocol === "https:";
    this.#netrc = wantsNetrc ? options.netrc : undefined;
    this.#secrets = [...address.secrets, ...netrcSecrets(this.#netrc, address.origin.host)];
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#watchdog = new Watchdog(this.#timing);
    const connections = options.connections ?? CONNECTIONS;
    this.#slot = pLimit(connections);
    this.#pools = new Pools(
      address.origin,
      options.egress ?? directEgress,
      connections,
      this.#timing.connect,
    );
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Strings that no message may hold. */
  get secrets(): readonly string[] {
    return [...this.#secrets, ...(this.#token?.secrets ?? [])];
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
    await this.#pools.close();
  }

  async #get({ subject, path, limit, spool }: HttpRequest): Promise<Reply> {
    const { origin, prefix, query, name } = this.address;
    const startedAt = performance.now();
    const exchange = { subject, limit, timing: this.#timing, startedAt, ...(spool && { spool }) };
    const target = `${prefix}/${path}${query}`;
    const authorization = await this.#authorization(target);
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
  async #authorization(target: string): Promise<string | undefined> {
    const { authorization, origin } = this.address;
    if (this.#token !== undefined) return await this.#token.authorization();
    const login = this.#netrc?.lookup(origin.host + target);
    return login === undefined ? authorization : basicAuthorization(login);
  }

  async #exchange(
    to: URL,
    path: string,
    authorization: string | undefined,
    exchange: Exchange,
  ): Promise<Reply> {
    const { pool, target, headers, proxy } = await this.#pools.route(to, path);
    const transfer = new Transfer(exchange, this.#watchdog);
    if (this.#signal?.aborted) transfer.fail(stopped(exchange.subject));
    else {
      const all = [...this.#headers(to, authorization), ...headers];
      pool.dispatch({ method: "GET", path: target, headers: all }, transfer);
    }
    const reply = await transfer.reply;
    if (proxy !== undefined && reply.status === 407)
      throw refusedByProxy(exchange.subject, exchange.server, proxy.name, 407);
    return reply;
  }

  #headers(to: URL, authorization: string | undefined): string[] {
    const headers = ["user-agent", `modferry/${manifest.version}`, "accept-encoding", "identity"];
    if (authorization !== undefined && to.origin === this.address.origin.origin)
      headers.push("authorization", authorization);
    return headers;
  }

  #stop(): void {
    this.#pools.destroy();
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
