import { z } from "zod";
import { LONGEST_WAIT } from "./failed-record.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { MirrorParts } from "./parts.ts";
import { VULNERABILITIES } from "./policy-settings.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { updateRecords, updateRequest } from "./update.ts";

type SweepParts = Pick<MirrorParts, "ledger" | "now" | "policy" | "vulnerabilities">;

const NAME = "policy";
/** Records are written so many at a time. */
const PAGE = 500;
/** As many requests are looked at once more; the rest wait for their own time. */
const MOST_REQUESTS = 2_000;
const LEASE = "policy-sweep";
/** Outlives a page by far; taken anew with each. In ms. */
const LEASE_TIME = 60_000;

const shape = z.strictObject({
  digest: z.string(),
  /** When the vulnerability database that the policy goes by was modified: another one may decide otherwise. */
  vulndb: z.string().optional(),
  /** When this policy was first seen here, in ms since the epoch. */
  since: z.int(),
  /** When all that was refused was last asked again under it. */
  swept: z.int().optional(),
  /** Only the vulnerability database is another one: then only what it kept out is asked again. */
  narrow: z.literal(true).optional(),
});

/**
 * Has all that the policy refused decided anew where the policy is another one than the last time: DENIED and HELD
 * become PENDING, and due. Once more when every unit of work that had begun under the old policy has ended. As long as
 * nothing changes that costs one read of an item; a crash in between begins again.
 * @returns how many versions are asked again.
 */
export async function sweepPolicy(parts: SweepParts, owner: string): Promise<number> {
  const { ledger } = parts;
  const now = parts.now();
  const digest = parts.policy?.digest ?? "none";
  const asks = parts.policy?.settings.vulnerabilities !== undefined;
  const vulndb = asks ? await parts.vulnerabilities?.modified() : undefined;
  const item = await ledger.readItem("control", NAME);
  const known = shape.safeParse(item?.value).data;
  // A mirror without policy has refused nothing, and needs no item.
  if (known === undefined && parts.policy === undefined) return 0;
  const samePolicy = known?.digest === digest;
  const same = samePolicy && known.vulndb === vulndb;
  const since = same ? known.since : now;
  const safe = since + ORDER_LOST_AFTER;
  // A sweep of all that has not come to its end goes on as one of all.
  const settledBefore =
    known !== undefined && known.swept !== undefined && known.swept >= known.since + ORDER_LOST_AFTER;
  const onlyVulndb = samePolicy && (same ? known.narrow === true : settledBefore);
  if (same && known.swept !== undefined && (known.swept >= safe || now < safe)) return 0;
  if (!(await ledger.takeLease(LEASE, owner, now, now + LEASE_TIME))) return 0;
  try {
    const value = { digest, since, ...(vulndb === undefined ? {} : { vulndb }) };
    const begun = await write(parts, item, { ...value, ...(onlyVulndb && { narrow: true }) });
    if (begun === "changed") return 0;
    let asked = 0;
    for (const state of onlyVulndb ? (["DENIED"] as const) : (["DENIED", "HELD"] as const))
      asked += await reviveAll(parts, state, owner, onlyVulndb ? VULNERABILITIES : undefined);
    // By now what is let in may be here, and with it what waits for it be listed.
    if (now >= safe) await hurryRequests(parts);
    await write(parts, begun, { ...value, swept: now, ...(onlyVulndb && { narrow: true }) });
    return asked;
  } finally {
    await ledger.releaseLease(LEASE, owner);
  }
}

async function reviveAll(
  parts: SweepParts,
  state: "DENIED" | "HELD",
  owner: string,
  rule?: string,
): Promise<number> {
  const { ledger } = parts;
  const isAsked = (record: VersionRecord | undefined): record is VersionRecord =>
    record?.state === state && (rule === undefined || record.rule === rule);
  let asked = 0;
  let after: VersionRecord | undefined;
  do {
    const now = parts.now();
    if (!(await ledger.takeLease(LEASE, owner, now, now + LEASE_TIME))) return asked;
    const page = await ledger.inState(state, { limit: PAGE, ...(after && { after }) });
    // Not `wantedAt`: these are asked again by nobody, and keep their place in the index.
    await updateRecords(ledger, page, (record) =>
      isAsked(record) ? { ...record, state: "PENDING", due: now } : record,
    );
    asked += page.filter(isAsked).length;
    after = page.at(-1);
  } while (after !== undefined);
  return asked;
}

async function hurryRequests(parts: SweepParts): Promise<void> {
  const now = parts.now();
  for (const { name, time } of await parts.ledger.dueRequests(now + LONGEST_WAIT, MOST_REQUESTS))
    await updateRequest(parts.ledger, { name, time }, (request) =>
      request?.state === "INCOMPLETE" ? { ...request, due: now } : undefined,
    );
}

async function write(
  { ledger }: SweepParts,
  item: LedgerItem | undefined,
  value: z.output<typeof shape>,
): Promise<LedgerItem | "changed"> {
  return await ledger.writeItem({ kind: "control", name: NAME, revision: item?.revision ?? 0, value });
}
