import { fetch, ProxyAgent, type RequestInit, type Response } from "undici";
import type { Egress } from "./egress.ts";

/** `fetch` by the way out of this network: for a few requests to one address, such as a mirror's own endpoint. */
export async function egressFetch(egress: Egress, url: URL, init: RequestInit): Promise<Response> {
  const proxy = egress.proxyFor(url);
  if (proxy === undefined) return await fetch(url, init);
  const token = await proxy.authorization();
  const dispatcher = new ProxyAgent({ uri: proxy.origin.href, ...(token === undefined ? {} : { token }) });
  return await fetch(url, { ...init, dispatcher });
}
