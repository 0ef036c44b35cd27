import { isIP } from "node:net";
import { domainToASCII } from "node:url";

/** Whether a NO_PROXY entry covers a host (lower case, without brackets), its address if it is one, and a port. */
type Matcher = (host: string, port: string, address: Uint8Array | undefined) => boolean;

/**
 * Which addresses are reached without a proxy, by the rules of the go command
 * (golang.org/x/net/http/httpproxy, useProxy and init): comma-separated names (`corp.example` and all below it,
 * `.corp.example` or `*.corp.example` only what is below), addresses, networks (`10.0.0.0/8`), each but the last perhaps
 * with a port; `*` is everything. Entries that make no sense are passed over, as go does. localhost and loopback
 * addresses never go through a proxy.
 */
export function parseNoProxy(text: string): (url: URL) => boolean {
  const matchers = matchersOf(text);
  return (url) => {
    const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
    if (host === "localhost") return true;
    const address = addressBytes(host);
    if (address !== undefined && isLoopback(address)) return true;
    const port = url.port || (url.protocol === "https:" ? "443" : "80");
    return matchers.some((covers) => covers(host, port, address));
  };
}

function matchersOf(text: string): Matcher[] {
  const matchers: Matcher[] = [];
  for (const listed of text.split(",")) {
    const entry = listed.trim().toLowerCase();
    if (entry === "") continue;
    if (entry === "*") return [() => true];
    const matcher = networkMatcher(entry) ?? hostMatcher(entry);
    if (matcher !== undefined) matchers.push(matcher);
  }
  return matchers;
}

/** Where an IPv4 address begins in IPv6's writing of it, in bits. */
const MAPPED_PREFIX = 96;

/**
 * `address/bits` (net.ParseCIDR). An IPv4 address in IPv6's writing is the IPv4 address, unless so few bits count that
 * its mark is no longer whole.
 */
function networkMatcher(entry: string): Matcher | undefined {
  const slash = entry.indexOf("/");
  if (slash < 0) return undefined;
  const text = entry.slice(0, slash);
  const bitsText = entry.slice(slash + 1);
  const literal = addressBytes(text);
  if (literal === undefined || !/^[0-9]{1,7}$/.test(bitsText)) return undefined;
  const written = isIP(text) === 4 ? 32 : 128;
  const bits = Number(bitsText);
  if (bits > written) return undefined;
  const mapped = literal.length === 4 && written === 128;
  const network = mapped && bits < MAPPED_PREFIX ? ipv6Bytes(text) : literal;
  const significant = mapped && bits >= MAPPED_PREFIX ? bits - MAPPED_PREFIX : bits;
  return (_host, _port, address) =>
    address !== undefined && address.length === network.length && agree(address, network, significant);
}

function agree(one: Uint8Array, other: Uint8Array, bits: number): boolean {
  for (let at = 0; at * 8 < bits; at++) {
    const left = Math.min(8, bits - at * 8);
    const mask = (0xff << (8 - left)) & 0xff;
    if (((one[at] ?? 0) & mask) !== ((other[at] ?? 0) & mask)) return false;
  }
  return true;
}

function hostMatcher(entry: string): Matcher | undefined {
  const { host, port } = splitHostPort(entry) ?? { host: entry, port: "" };
  if (host === "") return undefined;
  const wanted = addressBytes(host);
  if (wanted !== undefined) {
    return (_host, at, address) =>
      address?.length === wanted.length &&
      agree(address, wanted, wanted.length * 8) &&
      (port === "" || port === at);
  }
  const name = host.startsWith("*.") ? host.slice(1) : host;
  const below = asciiName(name.startsWith(".") ? name : `.${name}`);
  const itself = name.startsWith(".") ? undefined : below.slice(1);
  return (asked, at, address) =>
    address === undefined && (asked.endsWith(below) || asked === itself) && (port === "" || port === at);
}

/** net.SplitHostPort; undefined where it gives an error, such as for a name without a port. */
function splitHostPort(text: string): { readonly host: string; readonly port: string } | undefined {
  const colon = text.lastIndexOf(":");
  if (colon < 0) return undefined;
  const port = text.slice(colon + 1);
  if (/[[\]]/.test(port)) return undefined;
  if (text.startsWith("[")) {
    const end = text.indexOf("]");
    const host = text.slice(1, end);
    return end + 1 === colon && !host.includes("[") ? { host, port } : undefined;
  }
  const host = text.slice(0, colon);
  return /[:[\]]/.test(host) ? undefined : { host, port };
}

/** A name in other letters than ASCII as it is looked up; as it stands where it has no such form. */
function asciiName(name: string): string {
  if (!/[^\0-\x7f]/.test(name)) return name;
  const ascii = domainToASCII(name.slice(1));
  return ascii === "" ? name : `.${ascii}`;
}

/** The 4 or 16 bytes of a literal address (net.ParseIP: no zones); 4 also for an IPv4 address in IPv6's writing. */
function addressBytes(text: string): Uint8Array | undefined {
  const family = text.includes("%") ? 0 : isIP(text);
  if (family === 0) return undefined;
  if (family === 4) return Uint8Array.from(text.split("."), Number);
  const bytes = ipv6Bytes(text);
  const mapped =
    bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
  return mapped ? bytes.subarray(12) : bytes;
}

function ipv6Bytes(text: string): Uint8Array {
  // The URL parser writes an address in groups alone, with at most one `::`.
  const plain = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [before = "", after] = plain.split("::");
  const groupsOf = (part: string) =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const head = groupsOf(before);
  const tail = after === undefined ? [] : groupsOf(after);
  const groups = [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function isLoopback(address: Uint8Array): boolean {
  if (address.length === 4) return address[0] === 127;
  return address.subarray(0, 15).every((byte) => byte === 0) && address[15] === 1;
}
