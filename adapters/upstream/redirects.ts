import { type LookupAddress, lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** cmd/go follows as many (cmd/go/internal/web, checkRedirect). */
export const MOST_REDIRECTS = 10;

/**
 * Where no upstream may send us: this machine itself, and the link-local addresses on which clouds hand out
 * credentials (RFC 3927 and RFC 4291; fd00:ec2::/32 and 100.100.100.200 are metadata services as well).
 */
const private_ = new BlockList();
private_.addSubnet("0.0.0.0", 8, "ipv4");
private_.addSubnet("127.0.0.0", 8, "ipv4");
private_.addSubnet("169.254.0.0", 16, "ipv4");
private_.addAddress("100.100.100.200", "ipv4");
private_.addAddress("::", "ipv6");
private_.addAddress("::1", "ipv6");
private_.addSubnet("fe80::", 10, "ipv6");
private_.addSubnet("fd00:ec2::", 32, "ipv6");

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export function isRedirect(status: number): boolean {
  return REDIRECTS.has(status);
}

/** Whether a literal address, IPv4-mapped ones included, is one that no other host may redirect to. */
export function isForbiddenAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && private_.check(address, family === 6 ? "ipv6" : "ipv4");
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
      const forbidden = error === null && found.some(isForbiddenAddress);
      callback(forbidden ? new ForbiddenAddressError() : error, address, family);
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
