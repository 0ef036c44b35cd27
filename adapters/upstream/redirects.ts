import { type LookupAddress, lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** cmd/go follows as many (cmd/go/internal/web, checkRedirect). */
export const MOST_REDIRECTS = 10;

/**
 * Where no upstream may send us: this machine itself, and the link-local addresses on which clouds hand out
 * credentials (RFC 3927 and RFC 4291; fd00:ec2::/32 and 100.100.100.200 are metadata services as well).
 */
const FORBIDDEN_IPV4 = [
  ["0.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["100.100.100.200", 32],
] as const;
const FORBIDDEN_IPV6 = [
  ["::1", 128],
  ["fe80::", 10],
  ["fd00:ec2::", 32],
  // NAT64 by a prefix of the network's own: it leads where that network says (RFC 8215).
  ["64:ff9b:1::", 48],
] as const;

/** IPv6 addresses that lead to an IPv4 address, which stands in them after so many bits, and how they are written. */
const EMBEDDINGS: readonly (readonly [bitsBefore: number, write: (ipv4: string) => string])[] = [
  [96, (ipv4) => `64:ff9b::${ipv4}`], // NAT64 (RFC 6052)
  [16, (ipv4) => `2002:${ipv4}::`], // 6to4 (RFC 3056)
  [96, (ipv4) => `::${ipv4}`], // IPv4-compatible (RFC 4291, 2.5.5.1)
  [96, (ipv4) => `::ffff:0:${ipv4}`], // IPv4-translated (RFC 2765)
];

/** A BlockList takes IPv4-mapped addresses for the IPv4 addresses that they are. */
const forbidden = new BlockList();
for (const [address, bits] of FORBIDDEN_IPV4) {
  forbidden.addSubnet(address, bits, "ipv4");
  for (const [before, write] of EMBEDDINGS)
    forbidden.addSubnet(write(twoGroups(address)), before + bits, "ipv6");
}
for (const [address, bits] of FORBIDDEN_IPV6) forbidden.addSubnet(address, bits, "ipv6");

/** An IPv4 address as two groups of an IPv6 one: `127.0.0.1` is `7f00:1`. */
function twoGroups(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split(".").map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/** Whether a literal address, those that hold an IPv4 address included, is one that no other host may redirect to. */
export function isForbiddenAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && forbidden.check(address, family === 6 ? "ipv6" : "ipv4");
}

/** A redirect's target, or why it is not followed; the reason holds no part of the attacker's URL. */
export type RedirectTarget = { readonly url: URL } | { readonly refused: string };

/**
 * Reads a Location. Attacker-controlled. Refused: other schemes, https to http (as cmd/go does), and another host's
 * way to an address of `isForbiddenAddress`. User-info in it is dropped.
 * @param upstream the configured address: where it lies itself, it may redirect to.
 */
export function redirectTarget(location: unknown, from: URL, upstream: URL): RedirectTarget {
  if (typeof location !== "string" || location === "") return { refused: "a redirect without a Location" };
  let url: URL;
  try {
    url = new URL(location, from);
  } catch {
    return { refused: "a redirect to what is no URL" };
  }
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return { refused: "a redirect that is not http or https" };
  if (from.protocol === "https:" && url.protocol === "http:")
    return { refused: "a redirect from https to http" };
  const host = bareHost(url);
  if (host !== bareHost(upstream) && !isPrivateHost(upstream)) {
    if (isPrivateHost(url)) return { refused: "a redirect to an address of this machine or its link" };
  }
  url.username = url.password = url.hash = "";
  return { url };
}

/**
 * dns.lookup for hosts that a redirect named: a name that resolves to a forbidden address is as bad as the address.
 * An upstream on this machine may redirect on this machine, as in tests.
 */
export function guardedLookup(upstream: URL): LookupFunction | undefined {
  if (isPrivateHost(upstream)) return undefined;
  return (hostname, options, callback) => {
    lookup(hostname, options, (error, address: string | LookupAddress[], family) => {
      const found = typeof address === "string" ? [address] : (address ?? []).map((one) => one.address);
      const refused = error === null && found.some(isForbiddenAddress);
      callback(refused ? new ForbiddenAddressError() : error, address, family);
    });
  };
}

/** A redirect's host name turned out to be one of this machine's own or link-local addresses. */
class ForbiddenAddressError extends Error {
  readonly code = "ENOTFOUND";
  constructor() {
    super("a redirect to an address of this machine or its link");
  }
}

function isPrivateHost(url: URL): boolean {
  const host = bareHost(url);
  return host === "localhost" || host.endsWith(".localhost") || isForbiddenAddress(host);
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}
