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
    case "UND_ERR_CONNECT_TIMEOUT":
      return transient(
        `no connection to ${server} within ${connectLimit / 1000} s; check address, network and proxy`,
      );
    case "ECONNREFUSED":
      return transient(`${server} refuses connections; check address and port, and that it runs`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return transient(`the name of ${server} cannot be looked up (${code}); check the address and DNS`);
    case "UND_ERR_DESTROYED":
    case "UND_ERR_CLOSED":
    case "UND_ERR_ABORTED":
      return transient("the work was stopped; run again to go on");
  }
  if (CERTIFICATE.test(code)) {
    return transient(`the TLS certificate of ${server} is not trusted (${code}); ${CA_REMEDY}`);
  }
  if (code.startsWith("HPE_"))
    return transient(`${server} does not speak HTTP/1.1 (${code}); check its address`);
  if (got !== undefined) {
    const of = got.of === undefined ? "" : ` of ${got.of}`;
    return transient(`${server} cut the reply after ${got.size}${of} bytes; run again later`);
  }
  const name = code === "" ? thrown.name : code;
  return transient(`the connection to ${server} broke off before an answer (${name}); run again later`);
}

/** A proxy's words, 407 and 403 foremost, would be the same for the next file: nobody's account is to be locked by trying. */
function proxyFault({ proxy, status, code }: ProxyFault, server: string, connectLimit: number): NetworkFault {
  if (code === "EPROTO")
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
function errorCode(thrown: unknown): string {
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
  return UNREACHABLE.has(code) || CERTIFICATE.test(code);
}
