import type { Report } from "../../mirror/events.ts";
import { HostWatch, type HostWatchOptions } from "../../mirror/host-watch.ts";
import type { Clock, Ledger } from "../../mirror/ports.ts";
import { UpstreamGate } from "../../mirror/upstream-gate.ts";

export interface GateOptions {
  readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
  readonly now: Clock;
  readonly report: Report;
  /** On a desk a stopped upstream is tried by each run: whoever started it may have mended the credentials. */
  readonly probe?: "at once";
}

/** The gate of an address; undefined for a folder, which no rate and no refusal concerns. */
export function gateOf(
  url: string,
  rate: number | undefined,
  options: GateOptions,
): UpstreamGate | undefined {
  const place = placeOf(url);
  return place && new UpstreamGate({ ...options, ...place, ...(rate === undefined ? {} : { rate }) });
}

/** The same for a process that only serves: it heeds what workers have noted, and notes nothing. */
export function watchOf(
  url: string,
  rate: number | undefined,
  options: Pick<HostWatchOptions, "ledger" | "now">,
): HostWatch | undefined {
  const place = placeOf(url);
  return place && new HostWatch({ ...options, ...place, ...(rate === undefined ? {} : { rate }) });
}

function placeOf(url: string): { readonly host: string; readonly path: string } | undefined {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address === undefined || !/^https?:$/.test(address.protocol)) return undefined;
  return { host: address.host, path: address.pathname.replace(/\/+$/, "") };
}
