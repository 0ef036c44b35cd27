import type { RequestKey } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import type { VersionRecord } from "../records.ts";
import {
  closureVaultKey,
  handedInAt,
  parseRequestInboxKey,
  type RequestRecord,
  requestInboxKey,
} from "../requests.ts";
import { readDrops, type StoredDrop } from "./drops.ts";
import type { ReferenceParts, References } from "./references.ts";
import type { GarbageSettings } from "./settings.ts";
import type { Batches } from "./throttle-batches.ts";

type ForgetParts = Pick<ReferenceParts, "vault" | "ledger" | "now" | "provable">;

/** REMOVED records are read so many at a time. */
const PAGE = 500;
/** Messages of queues live two weeks at most (Amazon SQS, MessageRetentionPeriod): none is about what is forgotten. */
const LEAST_TERM = 15 * 86_400_000;

/** How many the ledger knows no more since this run. */
export interface Forgotten {
  readonly versions: number;
  readonly requests: number;
}

/**
 * Has the ledger forget what has been collected, and requests that have ended, for longer than the settings' terms, and
 * that a name was dropped; the journal and the vault's decisions stay. A crash leaves each known or forgotten.
 */
export async function forgetOld(
  parts: ForgetParts,
  settings: Pick<GarbageSettings, "removed" | "ended">,
  { requests }: Pick<References, "requests">,
  batches: Batches,
): Promise<Forgotten> {
  const forgotten = { versions: 0, requests: 0 };
  for await (const some of oldRemoved(parts, Math.max(LEAST_TERM, settings.removed)))
    await batches.each(some, async (batch) => {
      forgotten.versions += await parts.ledger.forget(batch);
    });
  const ended = oldEnded(requests.over, parts.now() - Math.max(LEAST_TERM, settings.ended));
  await batches.each(ended, async (batch) => {
    for (const request of batch)
      if (!(await hasObjects(parts, request)) && (await parts.ledger.forgetRequest(request)))
        forgotten.requests++;
  });
  await batches.each(await idleDrops(parts), async (batch) => {
    // Whoever has dropped the name again meanwhile has changed the item, which stays then.
    for (const { item } of batch) await parts.ledger.deleteItem(item);
  });
  return forgotten;
}

/**
 * Drops that no request is left for: neither one that the ledger knows, nor one in the inbox that it may come to know, nor
 * one that a message is about. What is handed in under the name from now on is a new one.
 */
async function idleDrops({ ledger, vault, now }: ForgetParts): Promise<StoredDrop[]> {
  const before = now() - LEAST_TERM;
  const idle = new Map([...(await readDrops(ledger))].filter(([, { at }]) => at < before));
  if (idle.size === 0) return [];
  const keep = (request: RequestKey) => {
    const drop = idle.get(request.name);
    if (drop !== undefined && handedInAt(request) <= drop.at) idle.delete(request.name);
  };
  // The inbox first: what it has now and loses before the ledger is read, the ledger knows by then.
  for (const name of [...idle.keys()])
    for await (const key of vault.keys(`inbox/requests/${name}/`)) {
      const request = parseRequestInboxKey(key);
      if (request !== undefined) keep(request);
    }
  for await (const request of ledger.requests()) keep(request);
  return [...idle.values()];
}

/**
 * REMOVED records that are not needed to tell what comes later from what was here: a checksum database does that. Of
 * modules that none covers the hashes of first sight are all there is, and stay.
 */
async function* oldRemoved(
  { ledger, now, provable }: ForgetParts,
  term: number,
): AsyncGenerator<readonly VersionRecord[]> {
  const before = now() - term;
  let after: VersionRecord | undefined;
  do {
    const page = await ledger.inState("REMOVED", { limit: PAGE, ...(after && { after }) });
    yield page.filter((record) => (record.removedAt ?? record.wantedAt) < before && provable(record.path));
    after = page.at(-1);
    // Nothing is collected before it was last wanted: what follows is younger.
  } while (after !== undefined && after.wantedAt < before);
}

function oldEnded(over: readonly RequestRecord[], before: number): RequestRecord[] {
  return over.filter(
    (request) => request.state === "ENDED" && (request.endedAt ?? handedInAt(request)) < before,
  );
}

/** Whoever found its inbox object, and no record of it, would take it for a new one. */
async function hasObjects({ vault }: Pick<MirrorParts, "vault">, request: RequestRecord): Promise<boolean> {
  for (const key of [requestInboxKey(request), closureVaultKey(request)]) {
    const stored = await vault.open(key);
    await stored?.close();
    if (stored !== undefined) return true;
  }
  return false;
}
