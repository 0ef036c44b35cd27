import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { HttpProxy } from "./proxy.ts";

/** Why a proxy gave no connection; its message holds no secret. */
export class ProxyFault extends Error {
  override readonly name = "ProxyFault";
  /** The proxy's, for messages. */
  readonly proxy: string;
  /** What it answered; undefined where it did not. */
  readonly status: number | undefined;
  /** Of the connection to the proxy: a code of node:net, node:tls or node:http. */
  readonly code: string;

  constructor(proxy: string, code: string, status?: number, cause?: unknown) {
    const what = status === undefined ? `failed (${code})` : `answered ${status}`;
    super(`proxy ${proxy} ${what}`, cause === undefined ? undefined : { cause });
    this.proxy = proxy;
    this.status = status;
    this.code = code;
  }
}

/** Headers of a proxy's answer: Node's own default (--max-http-header-size). */
const LARGEST_HEADERS = 16 * 1024;

/**
 * Asks a proxy for a connection to a host and port (RFC 9110, 9.3.6, CONNECT).
 * @param timeout for all of it, in ms.
 * @returns the connection, on which nothing has been read or written behind the proxy's answer.
 * @throws ProxyFault; MirrorError where the proxy's secret cannot be read.
 */
export async function openTunnel(
  proxy: HttpProxy,
  target: { readonly host: string; readonly port: number },
  timeout: number,
): Promise<Socket> {
  const { name } = proxy;
  const authorization = await proxy.authorization();
  const request = askForTunnel(proxy, target, authorization);
  return await new Promise((resolve, reject) => {
    const fail = (fault: ProxyFault): void => {
      clearTimeout(timer);
      reject(fault);
      request.destroy();
    };
    const timer = setTimeout(() => fail(new ProxyFault(name, "ETIMEDOUT")), timeout);
    request.on("error", (error) => fail(new ProxyFault(name, codeOf(error), undefined, error)));
    // Whatever its status, the answer to CONNECT comes as this event.
    request.once("connect", (reply: IncomingMessage, socket: Socket, early: Buffer) => {
      clearTimeout(timer);
      const { statusCode = 0 } = reply;
      // Bytes that come before we have said anything are no part of TLS or HTTP.
      if (statusCode >= 200 && statusCode < 300 && early.length === 0) return resolve(socket);
      socket.on("error", () => undefined);
      socket.destroy();
      fail(new ProxyFault(name, early.length > 0 ? "EPROTO" : "", statusCode));
    });
    request.end();
  });
}

function askForTunnel(
  { origin }: HttpProxy,
  { host, port }: { readonly host: string; readonly port: number },
  authorization: string | undefined,
): ClientRequest {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const secure = origin.protocol === "https:";
  const options = {
    method: "CONNECT",
    host: origin.hostname.replace(/^\[|\]$/g, ""),
    port: origin.port || (secure ? 443 : 80),
    path: address,
    headers: { host: address, ...(authorization && { "proxy-authorization": authorization }) },
    agent: false,
    maxHeaderSize: LARGEST_HEADERS,
  };
  return secure ? httpsRequest(options) : httpRequest(options);
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  // Where the handshake fails in a write, Node has the code of that, and OpenSSL's reason in the text alone.
  return code === "EPROTO" && /wrong version number|http request/.test(String(error))
    ? "ERR_SSL_WRONG_VERSION_NUMBER"
    : code;
}
