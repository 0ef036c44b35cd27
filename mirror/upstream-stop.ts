import { sha256Of } from "./body.ts";
import { misuse } from "./errors.ts";
import type { Report } from "./events.ts";
import type { Clock, Ledger, Vault } from "./ports.ts";
import { requestTimeOf } from "./requests.ts";
import { hostValue, parseHostState, resumed, type UpstreamStop } from "./throttle.ts";
import { contended, MOST_RACES } from "./update.ts";

/** An upstream that no worker asks. */
export interface StoppedUpstream extends UpstreamStop {
  readonly host: string;
  /** The path below which it lies on its host. */
  readonly path: string;
}

/** Every upstream that is stopped, by its host. */
export async function stoppedUpstreams(ledger: Pick<Ledger, "items">): Promise<StoppedUpstream[]> {
  const stopped: StoppedUpstream[] = [];
  for await (const { name, value } of ledger.items("upstream")) {
    for (const [path, stop] of Object.entries(parseHostState(value).stopped))
      stopped.push({ host: name, path, ...stop });
  }
  return stopped;
}

/** Says again what is stopped, so that an alarm holds for as long as it is. @returns how many there are. */
export async function reportUpstreamStops(parts: {
  readonly ledger: Pick<Ledger, "items">;
  readonly report: Report;
}): Promise<number> {
  const stopped = await stoppedUpstreams(parts.ledger);
  for (const { host, path, reason } of stopped)
    parts.report({ event: "upstream-stopped", host, path, reason });
  return stopped.length;
}

/**
 * Lets the upstreams of a host be asked again. The decision is written down first, so that a crash leaves it without
 * effect, and never an effect without it. Should it still refuse, its first answer stops it anew. What waits for it is
 * tried within the hour; at once after `reviveStopped` (fork-stop.ts).
 * @param by who decides, for the audit.
 * @throws MirrorError misuse when none is stopped there.
 */
export async function resumeUpstream(
  parts: {
    readonly ledger: Pick<Ledger, "readItem" | "writeItem">;
    readonly vault: Vault;
    readonly now: Clock;
  },
  host: string,
  by: string,
): Promise<readonly StoppedUpstream[]> {
  const { ledger, vault, now } = parts;
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem("upstream", host);
    const state = parseHostState(item?.value);
    const paths = Object.keys(state.stopped);
    if (item === undefined || paths.length === 0)
      throw misuse(host, `${JSON.stringify(host)}: no host of an upstream that is stopped`);
    const lifted = Object.entries(state.stopped).map(([path, stop]) => ({ host, path, ...stop }));
    const decision = { decision: "resume-upstream", stopped: lifted, at: now(), by };
    const bytes = Buffer.from(`${JSON.stringify(decision)}\n`);
    await vault.put(`decisions/resume-upstream/${requestTimeOf(now())}-${sha256Of(bytes)}.json`, bytes);
    const value = hostValue(paths.reduce(resumed, state));
    if ((await ledger.writeItem({ ...item, value })) !== "changed") return lifted;
  }
  throw contended(host);
}
