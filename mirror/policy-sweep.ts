import { z } from "zod";
import { type Deadline, noDeadline, TIME_TO_CLOSE } from "./deadline.ts";
import { LONGEST_WAIT } from "./failed-record.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { MirrorParts } from "./parts.ts";
import type { Policy } from "./policy.ts";
import { VULNERABILITIES } from "./policy-settings.ts";
import type { WantedPlace } from "./ports.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { contended, MOST_RACES, updateRecords, updateRequest } from "./update.ts";

type SweepParts = Pick<MirrorParts, "ledger" | "now" | "policy" | "vulnerabilities">;

const NAME = "policy";
/** Records are written so many at a time. */
const PAGE = 500;
/** One call makes so many due: as many as a tick of reconcile takes on, so that what else is due never waits behind all. */
const MOST_ASKED = 2_000;
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
  /** The sweep that is under way: since when, and behind which record of which state it goes on. */
  pass: z
    .strictObject({
      since: z.int(),
      state: z.enum(["DENIED", "HELD"]),
      after: z.strictObject({ path: z.string(), version: z.string(), wantedAt: z.int() }).optional(),
    })
    .optional(),
});
type Sweep = z.output<typeof shape>;
type Pass = NonNullable<Sweep["pass"]>;

/**
 * Has all that the policy refused decided anew where the policy is another one than the last time: DENIED and HELD
 * become PENDING, and due, MOST_ASKED a call. Once more when every unit of work that had begun under the old policy has
 * ended. As long as nothing changes that costs one read of an item; where its time is up or it dies, the next call goes on.
 * @returns how many versions are asked again.
 */
export async function sweepPolicy(
  parts: SweepParts,
  owner: string,
  deadline: Deadline = noDeadline,
): Promise<number> {
  const { ledger } = parts;
  const now = parts.now();
  const digest = parts.policy?.digest ?? "none";
  const asks = parts.policy?.settings.vulnerabilities !== undefined;
  const vulndb = asks ? await parts.vulnerabilities?.modified() : undefined;
  const item = await ledger.readItem("control", NAME);
  const known = shape.safeParse(item?.value).data;
  // A mirror that never had a policy has refused nothing (noteRefusing), and needs no item.
  if (known === undefined && parts.policy === undefined) return 0;
  const samePolicy = known?.digest === digest;
  const same = samePolicy && known.vulndb === vulndb;
  const since = same ? known.since : now;
  const safe = since + ORDER_LOST_AFTER;
  // A sweep of all that has not come to its end goes on as one of all.
  const settledBefore =
    known !== undefined && known.swept !== undefined && known.swept >= known.since + ORDER_LOST_AFTER;
  const onlyVulndb = samePolicy && (same ? known.narrow === true : settledBefore);
  const begun = same ? known.pass : undefined;
  const isDone = same && known.swept !== undefined && (known.swept >= safe || now < safe);
  if (begun === undefined && isDone) return 0;
  if (!(await ledger.takeLease(LEASE, owner, now, now + LEASE_TIME))) return 0;
  try {
    const value = { digest, since, ...(vulndb === undefined ? {} : { vulndb }), ...(onlyVulndb && narrowed) };
    const before = same && known.swept !== undefined ? { swept: known.swept } : {};
    const sweep = new RefusedSweep(parts, owner, onlyVulndb ? VULNERABILITIES : undefined, deadline);
    let pass: Pass = begun ?? { since: now, state: "DENIED" };
    const noted = await write(parts, item, { ...value, ...before, pass });
    if (noted === "changed") return 0;
    const after = await sweep.goOn(pass);
    if (after !== "done") {
      pass = after;
      await write(parts, noted, { ...value, ...before, pass });
      return sweep.asked;
    }
    // By now what is let in may be here, and with it what waits for it be listed.
    if (pass.since >= safe) await hurryRequests(parts);
    await write(parts, noted, { ...value, swept: pass.since });
    return sweep.asked;
  } finally {
    await ledger.releaseLease(LEASE, owner);
  }
}

const narrowed = { narrow: true } as const;

/** Processes' policies that are noted; a process has one. */
const notedPolicies = new WeakMap<Policy, Pick<SweepParts, "ledger">["ledger"]>();

/**
 * Notes before a process refuses something for the first time by which policy that is: so all that it refuses is decided
 * anew under another one, even where nobody has swept under this one before. One read of an item for each process.
 */
export async function noteRefusing(parts: SweepParts): Promise<void> {
  const { ledger, policy } = parts;
  if (policy === undefined || notedPolicies.get(policy) === ledger) return;
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem("control", NAME);
    const isNoted = shape.safeParse(item?.value).data?.digest === policy.digest;
    if (isNoted || (await write(parts, item, { digest: policy.digest, since: parts.now() })) !== "changed") {
      notedPolicies.set(policy, ledger);
      return;
    }
  }
  throw contended(`control ${NAME}`);
}

/** Makes PENDING what was refused, as far as one call goes. */
class RefusedSweep {
  asked = 0;
  readonly #parts: SweepParts;
  readonly #owner: string;
  readonly #rule: string | undefined;
  readonly #deadline: Deadline;

  /** @param rule only what this one kept out, and only for good. */
  constructor(parts: SweepParts, owner: string, rule: string | undefined, deadline: Deadline) {
    this.#parts = parts;
    this.#owner = owner;
    this.#rule = rule;
    this.#deadline = deadline;
  }

  /** @returns from where the next call goes on. */
  async goOn(pass: Pass): Promise<Pass | "done"> {
    const { ledger } = this.#parts;
    let { state, after } = pass;
    for (;;) {
      const now = this.#parts.now();
      const isEnough = this.asked >= MOST_ASKED || this.#deadline.remaining() < TIME_TO_CLOSE;
      if (isEnough || !(await ledger.takeLease(LEASE, this.#owner, now, now + LEASE_TIME)))
        return { since: pass.since, state, ...(after && { after }) };
      const page = await ledger.inState(state, {
        limit: PAGE,
        ...(after && { after: after as WantedPlace }),
      });
      const last = page.at(-1);
      if (last !== undefined) {
        await this.#revive(page, state, now);
        after = { path: last.path, version: last.version, wantedAt: last.wantedAt };
      } else if (state === "HELD" || this.#rule !== undefined) return "done";
      else [state, after] = ["HELD", undefined];
    }
  }

  async #revive(page: readonly VersionRecord[], state: Pass["state"], now: number): Promise<void> {
    const isAsked = (record: VersionRecord | undefined): record is VersionRecord =>
      record?.state === state && (this.#rule === undefined || record.rule === this.#rule);
    // Not `wantedAt`: these are asked again by nobody, and keep their place in the index.
    await updateRecords(this.#parts.ledger, page, (record) =>
      isAsked(record) ? { ...record, state: "PENDING", due: now } : record,
    );
    this.asked += page.filter(isAsked).length;
  }
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
  value: Sweep,
): Promise<LedgerItem | "changed"> {
  return await ledger.writeItem({ kind: "control", name: NAME, revision: item?.revision ?? 0, value });
}
