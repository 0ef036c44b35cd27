import { sha256Of } from "./body.ts";
import { misuse } from "./errors.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { Clock, Ledger, Vault } from "./ports.ts";
import { requestTimeOf } from "./requests.ts";
import { SharedItem } from "./shared-item.ts";
import { hostValue, parseHostState, resumedOn } from "./throttle.ts";
import {
  parseItemName,
  parseUpstreamState,
  resumed,
  type UpstreamStop,
  upstreamItemName,
  upstreamKey,
  upstreamValue,
} from "./upstream-state.ts";

/** An upstream that no worker asks. */
export interface StoppedUpstream extends UpstreamStop {
  readonly host: string;
  /** The path below which it lies on its host. */
  readonly path: string;
}

/** Every upstream that is stopped, by its host. */
export async function stoppedUpstreams(ledger: Pick<Ledger, "items">): Promise<StoppedUpstream[]> {
  const stopped: StoppedUpstream[] = [];
  for await (const item of ledger.items("upstream")) {
    const one = stoppedUpstream(item);
    if (one !== undefined) stopped.push(one);
  }
  return stopped;
}

/** The stop that an item of kind `upstream` holds, where it is an upstream's and there is one. */
export function stoppedUpstream({ name, value }: LedgerItem): StoppedUpstream | undefined {
  const { host, path } = parseItemName(name);
  const { stop } = parseUpstreamState(value);
  return path === undefined || stop === undefined ? undefined : { host, path, ...stop };
}

/**
 * Lets the upstreams of a host be asked again. The decision is written down first, so that a crash leaves it without
 * effect, and never an effect without it. Should it still refuse, its first answer stops it anew. What waits for it is
 * tried by reconcile's next tick (upstream-recovery.ts).
 * @param by who decides, for the audit.
 * @throws MirrorError misuse when none is stopped there.
 */
export async function resumeUpstream(
  parts: {
    readonly ledger: Pick<Ledger, "readItem" | "writeItem" | "items">;
    readonly vault: Vault;
    readonly now: Clock;
  },
  host: string,
  by: string,
): Promise<readonly StoppedUpstream[]> {
  const { ledger, vault, now } = parts;
  const lifted = (await stoppedUpstreams(ledger)).filter((one) => one.host === host);
  if (lifted.length === 0)
    throw misuse(host, `${JSON.stringify(host)}: no host of an upstream that is stopped`);
  const decision = { decision: "resume-upstream", stopped: lifted, at: now(), by };
  const bytes = Buffer.from(`${JSON.stringify(decision)}\n`);
  await vault.put(`decisions/resume-upstream/${requestTimeOf(now())}-${sha256Of(bytes)}.json`, bytes);
  const common = { ledger, now, kind: "upstream" } as const;
  for (const { path } of lifted) {
    const name = upstreamItemName(host, path);
    const item = new SharedItem({ ...common, name, parse: parseUpstreamState, value: upstreamValue });
    await item.read();
    await item.change((state) => resumed(state));
  }
  // Last: until then workers read the upstreams' items, and see that nothing is stopped.
  const item = new SharedItem({ ...common, name: host, parse: parseHostState, value: hostValue });
  await item.read();
  await item.change((state) =>
    lifted.reduce((next, { path }) => resumedOn(next, upstreamKey(path), now()), state),
  );
  return lifted;
}
