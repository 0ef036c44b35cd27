import type { Report } from "../../mirror/events.ts";
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
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address === undefined || !/^https?:$/.test(address.protocol)) return undefined;
  const path = address.pathname.replace(/\/+$/, "");
  return new UpstreamGate({ ...options, host: address.host, path, ...(rate === undefined ? {} : { rate }) });
}
