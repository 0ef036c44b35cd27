import { MirrorError, misuse } from "../../mirror/errors.ts";

/** An HTTP proxy, with the secrets of its URL apart. */
export interface HttpProxy {
  /** `http:` or `https:`: how the proxy itself is spoken to. */
  readonly origin: URL;
  /** For messages: scheme, host and port. */
  readonly name: string;
  /** The Proxy-Authorization header: a secret. @throws MirrorError where its secret cannot be read. */
  authorization(): Promise<string | undefined>;
}

/** Reads what a proxy's or an upstream's secret is now. */
export type ReadSecret = () => Promise<string>;

/**
 * Parses a proxy's address as the go command does: a URL, or `host[:port]` for http
 * (golang.org/x/net/http/httpproxy, parseProxy). Where go passes over one that it cannot read, and goes out directly, this
 * is an error. Its user-info is percent-decoded.
 * @param field the variable or field, for messages; none shows user-info.
 * @param login reads `user:password`; instead of user-info.
 * @throws MirrorError misuse: no URL, or a scheme other than http and https (SOCKS is not supported).
 */
export function parseProxy(text: string, field: string, login?: ReadSecret): HttpProxy {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url === undefined || url.hostname === "")
    throw misuse(field, `${field}: not an address of a proxy; give http://HOST:PORT`);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    const scheme = url.protocol.slice(0, -1);
    throw misuse(field, `${field}: ${scheme} proxies are not supported; give an http:// or https:// one`);
  }
  const own = userInfo(url, field);
  const name = `${url.protocol}//${url.host}`;
  return {
    origin: new URL(name),
    name,
    authorization: async () => {
      const pair = login === undefined ? own : await login();
      return pair === undefined ? undefined : basic(pair, name);
    },
  };
}

/** Go's Request.SetBasicAuth. */
function basic(pair: string, name: string): string {
  if (!pair.includes(":"))
    throw new MirrorError(
      "unauthorized",
      name,
      `proxy ${name}: its secret is not USER:PASSWORD; store it so`,
    );
  return `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
}

function userInfo(url: URL, field: string): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  try {
    return `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch {
    throw misuse(field, `${field}: its user or password has a % that begins no escape; write it as %25`);
  }
}
