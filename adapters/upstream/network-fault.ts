/** What went wrong on the line, for a MirrorError. */
export interface NetworkFault {
  readonly class: "transient" | "malformed";
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
    const remedy = "if it is your company's own, name its CA in NODE_EXTRA_CA_CERTS";
    return transient(`the TLS certificate of ${server} is not trusted (${code}); ${remedy}`);
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
