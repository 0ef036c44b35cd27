import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { ClosureFile, Need } from "./closure-file.ts";
import type { ErrorClass } from "./errors.ts";
import { isAtWork } from "./feed-work.ts";
import { readRequestBody } from "./inbox.ts";
import { isHeld, type Records } from "./missing.ts";
import { isFeedName, type RequestKey } from "./orders.ts";
import type { MirrorParts } from "./parts.ts";
import type { VersionRecord } from "./records.ts";
import { updateRecords } from "./update.ts";
import { parseWishes } from "./wishes.ts";

/** What the next try of a resolution may mend. */
const PASSING: ReadonlySet<ErrorClass> = new Set(["transient", "stopped", "unauthorized"]);

/**
 * Notes of a feed's roots that are whole and cannot be listed yet whether their feed waits for them: while anything that
 * their closure lacks is at work it does, and not while all of that has failed for good or is kept out. Since they were
 * handed in they are awaited, so a crash before this leaves a feed behind, never ahead; the request is due again when
 * anything that it lacks is.
 */
export async function noteAwaited(
  parts: Pick<MirrorParts, "vault" | "ledger" | "now">,
  request: RequestKey,
  closure: ClosureFile,
  records: Records,
): Promise<void> {
  if (!isFeedName(request.name)) return;
  const now = parts.now();
  const comes = (need: Need) => !isHeld(need, records) && isComing(recordIn(records, need.version), now);
  const changed = new Map<string, { readonly version: ModuleVersion; readonly awaited: boolean }>();
  const judge = (version: ModuleVersion, awaited: () => boolean) => {
    const record = recordIn(records, version);
    if (record === undefined || !waits(record)) return;
    const next = awaited();
    if (next !== (record.awaited === true))
      changed.set(formatModuleVersion(version), { version, awaited: next });
  };
  // What it lacks nothing of is listed, or was blocked or collected since; then that comes first.
  for (const { root, needs } of closure.roots)
    judge(root, () => needs.every((need) => isHeld(need, records)) || needs.some(comes));
  const closed = new Set(closure.roots.map(({ root }) => formatModuleVersion(root)));
  const unclosed = closure.needs.filter(({ version }) => {
    const record = recordIn(records, version);
    return record?.awaited === true && waits(record) && !closed.has(formatModuleVersion(version));
  });
  if (unclosed.length > 0) {
    const graphComes =
      closure.unloaded.some((version) => {
        const need = { version, extent: "mod" } as const;
        // Held by now: its graph is loaded again.
        return isHeld(need, records) || comes(need);
      }) || closure.unresolved.some((entry) => PASSING.has(entry.class));
    // Of another root's closure some may be roots of other requests.
    const own = await ownRoots(parts, request);
    for (const { version } of unclosed)
      if (own.has(formatModuleVersion(version))) judge(version, () => graphComes);
  }
  if (changed.size === 0) return;
  await updateRecords(
    parts.ledger,
    [...changed.values()].map(({ version }) => version),
    (record, version) => {
      if (record === undefined || !waits(record)) return undefined;
      const { awaited, ...rest } = record;
      const next = changed.get(formatModuleVersion(version))?.awaited === true;
      if (next === (awaited === true)) return undefined;
      return next ? { ...rest, awaited: true } : rest;
    },
  );
}

function recordIn(records: Records, version: ModuleVersion): VersionRecord | undefined {
  return records.get(formatModuleVersion(version));
}

/** It is whole, some feed's root, and not listed. What is not held yet is counted by its state. */
function waits({ state, feed, listed }: VersionRecord): boolean {
  return state === "READY" && feed !== undefined && !listed;
}

/** Whether a file that is not held is at work: also where nothing is recorded of it yet, or it is held for less. */
function isComing(record: VersionRecord | undefined, now: number): boolean {
  if (record === undefined || record.state === "READY") return true;
  if (record.state === "HELD") return record.due !== undefined && record.due <= now;
  return isAtWork(record);
}

async function ownRoots(
  parts: Pick<MirrorParts, "vault">,
  request: RequestKey,
): Promise<ReadonlySet<string>> {
  const { roots, alone } = parseWishes(await readRequestBody(parts, request));
  return new Set([...roots, ...alone].map(formatModuleVersion));
}
