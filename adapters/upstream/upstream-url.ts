import { misuse } from "../../mirror/errors.ts";

/** Where an upstream is, with the secrets of its URL apart. */
export interface UpstreamAddress {
  /** Scheme, host and port; no user-info, path or query. */
  readonly origin: URL;
  /** Percent-encoded path without a slash at its end: empty, or `/api/go/x`. */
  readonly prefix: string;
  /** The URL's query with its `?`, sent with each request as cmd/go does; empty as a rule. May be a secret. */
  readonly query: string;
  /** For messages: scheme, host and path, without user-info and query. */
  readonly name: string;
  /** The Authorization header for the URL's user-info. A secret. */
  readonly authorization: string | undefined;
  /** Strings that no message may hold. */
  readonly secrets: readonly string[];
}

/**
 * Parses the URL of an upstream or a checksum database.
 * @throws MirrorError misuse: no http(s) URL, or user-info over plain http to another machine (cmd/go refuses that
 * too: web.Get, "refusing to pass credentials to insecure URL").
 */
export function parseUpstreamUrl(text: string, flag: "--upstream" | "--sumdb" | "--vulndb"): UpstreamAddress {
  const name = redactUrl(text);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw misuse(flag, `${flag}: ${name} is no http:// or https:// URL; give one`);
  }
  const hasUser = url.username !== "" || url.password !== "";
  if (hasUser && url.protocol === "http:" && !isLoopbackHost(url)) {
    throw misuse(flag, `${flag}: ${name} would get its password over plain http; use https://`);
  }
  let pair = "";
  try {
    pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  } catch (cause) {
    throw misuse(
      flag,
      `${flag}: the user or password of ${name} has a % that begins no escape; write it as %25`,
      cause,
    );
  }
  const token = Buffer.from(pair, "utf8").toString("base64");
  const parts = [url.username, url.password, ...pair.split(":"), url.search.slice(1)];
  return {
    origin: new URL(url.origin),
    prefix: url.pathname.replace(/\/+$/, ""),
    query: url.search,
    name,
    authorization: hasUser ? `Basic ${token}` : undefined,
    secrets: [...new Set(hasUser ? [...parts, token] : parts)].filter((part) => part !== ""),
  };
}

/** A URL for messages: scheme, host and path alone; `(not a URL)` where it is none, since secrets may be anywhere in it. */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return "(not a URL)";
  const url = new URL(text);
  if (url.protocol === "file:") return `file://${url.pathname}`;
  return url.host === ""
    ? `${url.protocol}…`
    : `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`;
}

/** Whether a URL leads to this machine: then plain http shows its secrets to nobody else. */
export function isLoopbackHost(url: URL): boolean {
  return LOOPBACK.has(normalHost(url));
}

const LOOPBACK = new Set(["localhost", "127.0.0.1", "::1"]);

/** All names of this machine are one: a server that listens on 0.0.0.0 is reached as 127.0.0.1 and as localhost. */
function normalHost(url: URL): string {
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (host === "0.0.0.0" || host === "::" || host.endsWith(".localhost")) return "localhost";
  return LOOPBACK.has(host) ? "localhost" : host;
}

/**
 * Whether two addresses are the same server: host and port agree, and one path lies in the other. Used to refuse a
 * mirror that would fetch from itself. Folders, given as paths or file:// URLs, agree when one lies in the other.
 */
export function isSameEndpoint(a: string, b: string): boolean {
  const one = endpointUrl(a);
  const other = endpointUrl(b);
  if (one === undefined || other === undefined) return false;
  const isFile = one.protocol === "file:";
  if (isFile !== (other.protocol === "file:")) return false;
  if (!isFile && (normalHost(one) !== normalHost(other) || portOf(one) !== portOf(other))) return false;
  const [shorter, longer] = [one.pathname, other.pathname]
    .map((path) => `${path.replace(/\/+$/, "")}/`)
    .sort((x, y) => x.length - y.length);
  return longer?.startsWith(shorter ?? "") ?? false;
}

/** Also takes `host:port` as `--listen` has it, and absolute paths. */
function endpointUrl(text: string): URL | undefined {
  if (text.startsWith("/")) return new URL(`file://${text.split("/").map(encodeURIComponent).join("/")}`);
  const full = /^(?:https?|file):/i.test(text) ? text : `http://${text}`;
  return URL.canParse(full) ? new URL(full) : undefined;
}

function portOf(url: URL): string {
  return url.port || (url.protocol === "https:" ? "443" : "80");
}
