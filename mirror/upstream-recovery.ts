import type { ErrorClass } from "./errors.ts";
import type { Report } from "./events.ts";
import type { Clock, Ledger } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { SharedItem } from "./shared-item.ts";
import { hostValue, parseHostState } from "./throttle.ts";
import { updateRecords } from "./update.ts";
import { stoppedUpstream } from "./upstream-stop.ts";

/** Records of one page of a state, and how many are made due by one tick; the next goes on. */
const PAGE = 500;
const REVIVED_PER_TICK = 10_000;
/** What may have failed because of its host. */
const OF_A_HOST: ReadonlySet<ErrorClass | undefined> = new Set(["transient", "stopped"] as const);

export interface Tended {
  /** Upstreams that are stopped; each is said again, so that an alarm holds for as long as it is. */
  readonly stopped: number;
  /** Versions that are due now, since a host answers again. */
  readonly revived: number;
}

/**
 * Says again which upstreams are stopped; and where a host answers again after a long outage, or an upstream after a stop,
 * makes due now what failed for a time meanwhile. Records do not say which host they are asked of: all that failed so are
 * tried, once for each outage. Without one it costs the reading of the hosts' items alone.
 */
export async function tendUpstreams(parts: {
  readonly ledger: Ledger;
  readonly now: Clock;
  readonly report: Report;
}): Promise<Tended> {
  const { ledger, now, report } = parts;
  let stopped = 0;
  const recovered: string[] = [];
  for await (const item of ledger.items("upstream")) {
    const stop = stoppedUpstream(item);
    if (stop !== undefined) {
      const { host, path, reason } = stop;
      report({ event: "upstream-stopped", host, path, reason });
      stopped++;
    }
    if (parseHostState(item.value).recovered > 0) recovered.push(item.name);
  }
  if (recovered.length === 0) return { stopped, revived: 0 };
  const revived = await revive(ledger, now);
  // Last: a crash has it done once more. What is left is taken on by the next tick.
  if (revived < REVIVED_PER_TICK) for (const name of recovered) await forget(parts, name);
  return { stopped, revived };
}

async function revive(ledger: Ledger, now: Clock): Promise<number> {
  let revived = 0;
  for (const state of ["FAILED", "BROKEN"] as const) {
    const waits = (record: VersionRecord | undefined) =>
      record?.state === state &&
      OF_A_HOST.has(record.lastError?.class) &&
      record.due !== undefined &&
      record.due > now();
    let after: VersionRecord | undefined;
    while (revived < REVIVED_PER_TICK) {
      const page = await ledger.inState(state, { limit: PAGE, ...(after === undefined ? {} : { after }) });
      // An index may lag, and then a page is short without being the last.
      if (page.length === 0) break;
      const waiting = page.filter(waits);
      await updateRecords(ledger, waiting, (record) =>
        waits(record) && record ? { ...record, due: now() } : undefined,
      );
      revived += waiting.length;
      after = page.at(-1);
    }
  }
  return revived;
}

async function forget(
  { ledger, now }: { readonly ledger: Ledger; readonly now: Clock },
  name: string,
): Promise<void> {
  const parse = parseHostState;
  const item = new SharedItem({ ledger, now, kind: "upstream", name, parse, value: hostValue });
  await item.read();
  await item.change((state) => (state.recovered === 0 ? state : { ...state, recovered: 0 }));
}
