import { setTimeout } from "node:timers/promises";
import { z } from "zod";
import type { Egress } from "../adapters/egress/egress.ts";
import { egressFetch } from "../adapters/egress/egress-fetch.ts";
import { brokenOff, connectionFault, errorCode } from "../adapters/upstream/network-fault.ts";
import { asMirrorError, MirrorError, misuse } from "../mirror/errors.ts";
import { missingReport, REQUESTS_PATH, type RequestReport } from "../mirror/request-desk.ts";
import { parseRequestKey, printRequestBody, type RequestBody } from "../mirror/requests.ts";
import type { Desk } from "./desk.ts";
import { oneLine } from "./output.ts";

/** One exchange with the endpoint, in ms. */
const TIMEOUT = 60_000;
/** Tries of one exchange: a gateway that answers 502 once need not fail a build. */
const TRIES = 4;
const FIRST_WAIT = 1_000;
/** The largest reply that is read. */
const LARGEST_REPLY = 4 * 1024 * 1024;

const handedIn = z.object({ request: z.string().refine((text) => parseRequestKey(text) !== undefined) });

/** A mirror's endpoint, which takes requests with its token: for CI without rights to the mirror's storage. */
export class EndpointDesk implements Desk {
  readonly #url: URL;
  readonly #token: string;
  readonly #egress: Egress;
  readonly #sleep: (ms: number) => Promise<unknown>;

  /** @param token a secret: never in a message. */
  constructor(url: URL, token: string, egress: Egress, sleep: (ms: number) => Promise<unknown> = setTimeout) {
    this.#url = url;
    this.#token = token;
    this.#egress = egress;
    this.#sleep = sleep;
  }

  async handIn(name: string, body: RequestBody): Promise<string> {
    const bytes = printRequestBody(body);
    const reply = await this.#ask("POST", name, bytes);
    return handedIn.parse(reply).request;
  }

  async report(request: string): Promise<RequestReport | undefined> {
    const reply = await this.#ask("GET", request);
    return reply === undefined ? undefined : missingReport.parse(reply);
  }

  async close(): Promise<void> {}

  async #ask(method: "GET" | "POST", rest: string, body?: Uint8Array): Promise<unknown> {
    const path = `${this.#url.pathname.replace(/\/+$/, "")}/${REQUESTS_PATH}/${rest}`;
    const url = new URL(path, this.#url.origin);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(method, url, body);
      } catch (thrown) {
        const error = asMirrorError(thrown, this.#url.host);
        // A request that is handed in twice is worked on once: the second finds all held.
        if (error.class !== "transient" || attempt === TRIES) throw error;
        await this.#sleep(FIRST_WAIT * 2 ** (attempt - 1));
      }
    }
  }

  async #once(method: "GET" | "POST", url: URL, body: Uint8Array | undefined): Promise<unknown> {
    const host = url.host;
    const reply = await egressFetch(this.#egress, url, {
      method,
      headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
      // With a redirect the token would go elsewhere.
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
      ...(body === undefined ? {} : { body: Buffer.from(body) }),
    }).catch((cause: unknown) => {
      const message = `the endpoint does not answer: ${reasonOf(cause, url.origin)}`;
      throw new MirrorError("transient", host, message, { cause });
    });
    const text = await boundedText(reply);
    if (reply.ok) return JSON.parse(text);
    if (reply.status === 404 && method === "GET") return undefined;
    const said = oneLine(text).trim().slice(0, 300);
    const message = `${host}: ${reply.status}${said === "" ? "" : `: ${said}`}`;
    if (reply.status === 400 || reply.status === 413) throw misuse("request", message);
    if (reply.status === 401) throw misuse("MODFERRY_TOKEN", `MODFERRY_TOKEN: ${host} does not take it`);
    if (reply.status === 404 || reply.status === 405)
      throw misuse(
        "--mirror",
        `--mirror: ${host} takes no requests; its operator turns that on with a token`,
      );
    throw new MirrorError("transient", host, message);
  }
}

/** What undici gives a connection by default. */
const CONNECT_LIMIT = 10_000;

/** Node says "fetch failed", and why only in the cause; what OpenSSL says there is not for people. */
function reasonOf(thrown: unknown, server: string): string {
  const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown;
  const code = errorCode(cause);
  const known = connectionFault(code, server, CONNECT_LIMIT);
  if (known !== undefined) return known;
  if (code === "UND_ERR_SOCKET" || code === "ECONNRESET") return brokenOff(code, server);
  return oneLine(cause instanceof Error ? cause.message : String(cause));
}

async function boundedText(reply: Awaited<ReturnType<typeof egressFetch>>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of reply.body ?? []) {
    size += chunk.byteLength;
    if (size > LARGEST_REPLY)
      throw new MirrorError("malformed", "endpoint", `endpoint: a reply of more than ${LARGEST_REPLY} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
