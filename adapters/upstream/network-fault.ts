import { MirrorError } from "../../mirror/errors.ts";
import { ProxyFault } from "../egress/proxy-tunnel.ts";

/** What went wrong on the line, for a MirrorError. */
export interface NetworkFault {
  readonly class: "transient" | "malformed" | "unauthorized";
  readonly message: string;
}

/**
 * Translates what undici and node:net throw. The codes are theirs; unknown ones may heal.
 * @param server the upstream's name, without secrets: their own messages are not passed on.
 * @param connectLimit milliseconds
 * @param got how much of a body had come, of how many bytes if that was announced.
 */
export function networkFault(
  thrown: Error,
  server: string,
  connectLimit: number,
  got: { readonly size: number; readonly of: number | undefined } | undefined,
): NetworkFault {
  // The secret of a proxy could not be read.
  if (thrown instanceof MirrorError)
    return { class: thrown.class === "unauthorized" ? "unauthorized" : "transient", message: thrown.message };
  if (thrown instanceof ProxyFault) return proxyFault(thrown, server, connectLimit);
  const code = errorCode(thrown);
  switch (code) {
    case "UND_ERR_HEADERS_OVERFLOW":
    case "HPE_HEADER_OVERFLOW":
      return {
        class: "malformed",
        message: `${server} sent more header bytes than allowed; tell its operator`,
      };
    case "UND_ERR_DESTROYED":
    case "UND_ERR_CLOSED":
    case "UND_ERR_ABORTED":
      return transient("the work was stopped; run again to go on");
  }
  const connection = connectionFault(code, server, connectLimit);
  if (connection !== undefined) return transient(connection);
  if (got !== undefined) {
    const of = got.of === undefined ? "" : ` of ${got.of}`;
    return transient(`${server} cut the reply after ${got.size}${of} bytes; run again later`);
  }
  return transient(brokenOff(code === "" ? thrown.name : code, server));
}

/**
 * What keeps a connection from coming about, or from being one of HTTP; undefined where the code tells nothing of it.
 * @param server as configured, without secrets.
 * @param limit milliseconds
 */
export function connectionFault(code: string, server: string, limit: number): string | undefined {
  switch (code) {
    case "UND_ERR_CONNECT_TIMEOUT":
      return `no connection to ${server} within ${limit / 1000} s; check address, network and proxy`;
    case "ECONNREFUSED":
      return `${server} refuses connections; check address and port, and that it runs`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name of ${server} cannot be looked up (${code}); check the address and DNS`;
  }
  if (CERTIFICATE.test(code))
    return `the TLS certificate of ${server} is not trusted (${code}); ${CA_REMEDY}`;
  if (code.startsWith("HPE_"))
    return `${server} does not speak HTTP/1.1 (${code}); check its address${httpsRemedy(server)}`;
  return handshakeFault(code, server);
}

/** The line broke before anything was answered. */
export function brokenOff(code: string, server: string): string {
  const remedy = `run again later${httpsRemedy(server)}`;
  return `the connection to ${server} broke off before an answer (${code}); ${remedy}`;
}

/** OpenSSL's names for a first answer that is no TLS, such as an HTTP server's 400. */
const NO_TLS = /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|UNKNOWN_PROTOCOL)$/;
/** node:tls passes on what OpenSSL says under such codes; its own text is not for people. */
const HANDSHAKE = /^(?:ERR_SSL_|ERR_TLS_|EPROTO$)/;

/** What is wrong where TLS was tried and did not come about; undefined where the code is another. */
function handshakeFault(code: string, server: string): string | undefined {
  if (NO_TLS.test(code)) {
    const plain = ADDRESS.test(server) ? server.replace(/^https:/, "http:") : server;
    const remedy = plain === server ? "check its address" : `if it speaks plain http, give ${plain} instead`;
    return `${server} does not answer in TLS; ${remedy}`;
  }
  if (HANDSHAKE.test(code))
    return `${server} fails the TLS handshake (${code}); check its address and TLS settings`;
  return undefined;
}

/** One that was configured; where a redirect led to, an address is followed by a space and what redirected. */
const ADDRESS = /^\S+$/;

/** What to do besides where the address is http. A server of TLS that is asked in plain text cuts the line, or answers with an alert: neither says why. */
function httpsRemedy(server: string): string {
  if (!server.startsWith("http:") || !ADDRESS.test(server)) return "";
  return `, or, if it speaks TLS, give ${server.replace(/^http:/, "https:")} instead`;
}

/** A proxy's words, 407 and 403 foremost, would be the same for the next file: nobody's account is to be locked by trying. */
function proxyFault({ proxy, status, code }: ProxyFault, server: string, connectLimit: number): NetworkFault {
  if (code === "EPROTO" && status !== undefined)
    return transient(`the proxy ${proxy} sent what is no part of a tunnel; tell its operator`);
  if (status === 401 || status === 403 || status === 407)
    return { class: "unauthorized", message: proxyRefusal(server, proxy, status) };
  if (status !== undefined)
    return transient(`the proxy ${proxy} answered ${status} when asked for ${server}; run again later`);
  if (code === "ETIMEDOUT")
    return transient(`no connection to ${server} through the proxy ${proxy} within ${connectLimit / 1000} s`);
  if (code === "ECONNREFUSED")
    return transient(`the proxy ${proxy} refuses connections; check its address, and that it runs`);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return transient(
      `the name of the proxy ${proxy} cannot be looked up (${code}); check its address and DNS`,
    );
  const handshake = handshakeFault(code, proxy);
  if (handshake !== undefined) return transient(`the proxy ${handshake}`);
  if (CERTIFICATE.test(code))
    return transient(`the TLS certificate of the proxy ${proxy} is not trusted (${code}); ${CA_REMEDY}`);
  return transient(`the connection to the proxy ${proxy} broke off (${code}); run again later`);
}

function proxyRefusal(server: string, proxy: string, status: number): string {
  return status === 403
    ? `the proxy ${proxy} does not let us through to ${server} (403); ask its operator, or name the host in NO_PROXY`
    : `the proxy ${proxy} wants other credentials (${status}); check the user-info of its URL, or its secret`;
}

/** A refusal that the proxy answered in place of the upstream. */
export function refusedByProxy(subject: string, server: string, proxy: string, status: number): MirrorError {
  return new MirrorError("unauthorized", subject, `${subject}: ${proxyRefusal(server, proxy, status)}`);
}

const CA_REMEDY = "if it is your company's own, name its CA in NODE_EXTRA_CA_CERTS";

/** OpenSSL's and Node's names for certificates that do not verify (node:tls, X509 error codes). */
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA/;

function transient(message: string): NetworkFault {
  return { class: "transient", message };
}

/** The code of an error, or of the first one in an AggregateError (several addresses tried). */
export function errorCode(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "";
  if ("code" in thrown && typeof thrown.code === "string") return thrown.code;
  if (thrown instanceof AggregateError) return errorCode(thrown.errors[0]);
  return "";
}

/** No connection came about, so that the next file would fare alike: codes of node:net, node:dns and undici. */
const UNREACHABLE = new Set([
  ...["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT"],
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Whether an error of a request is that its host, or the proxy before it, could not be reached, or is not trusted. */
export function isUnreachable({ cause }: MirrorError): boolean {
  if (cause instanceof ProxyFault && cause.status !== undefined) return false;
  const code = errorCode(cause);
  return UNREACHABLE.has(code) || CERTIFICATE.test(code) || HANDSHAKE.test(code);
}
