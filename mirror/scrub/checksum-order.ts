import { z } from "zod";
import type { LedgerItem } from "../ledger-entries.ts";
import type { Ledger } from "../ports.ts";
import { contended, MOST_RACES } from "../update.ts";

const count = z.int().min(0);
const shape = z.object({
  run: z.string().min(1).max(40),
  manifest: z.object({ key: z.string().max(200), etag: z.string().max(100), rows: count }),
  /** The job's id, once it is known. */
  job: z.string().max(64).optional(),
  /** What it last said of itself. */
  status: z.string().max(40).optional(),
  total: count.optional(),
  succeeded: count.optional(),
  failed: count.optional(),
  lookedAt: count.optional(),
});

/** A checksum job as it was ordered, and what was last heard of it: the control item `scrub-job/<i>of<n>`. */
export type ChecksumOrder = z.output<typeof shape>;

const PREFIX = "scrub-job/";
const itemName = (part: string): string => `${PREFIX}${part}`;

/** A checksum job, for `modferry status`. */
export interface ChecksumJobStatus {
  readonly job: string;
  /** `1of1`. */
  readonly part: string;
  readonly status: string;
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  /** When it was last looked at, in ms since the epoch. */
  readonly at: number;
}

/** @returns undefined where the item is none of a job that was ever looked at. */
export function checksumJobStatus({ name, value }: LedgerItem): ChecksumJobStatus | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  const { job, status, total = 0, succeeded = 0, failed = 0, lookedAt: at } = parseOrder(value) ?? {};
  if (job === undefined || status === undefined || at === undefined) return undefined;
  return { job, part: name.slice(PREFIX.length), status, total, succeeded, failed, at };
}

/** One that cannot be read counts as none. */
export async function readOrder(
  ledger: Pick<Ledger, "readItem">,
  part: string,
): Promise<ChecksumOrder | undefined> {
  return parseOrder((await ledger.readItem("control", itemName(part)))?.value);
}

function parseOrder(value: unknown): ChecksumOrder | undefined {
  const parsed = shape.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** Written under the lease of the scrub: of two that race the last one wins, and its job is the same by its token. */
export async function writeOrder(
  ledger: Pick<Ledger, "readItem" | "writeItem">,
  part: string,
  value: ChecksumOrder,
): Promise<ChecksumOrder> {
  const name = itemName(part);
  for (let race = 0; race < MOST_RACES; race++) {
    const revision = (await ledger.readItem("control", name))?.revision ?? 0;
    if ((await ledger.writeItem({ kind: "control", name, revision, value })) !== "changed") return value;
  }
  throw contended(name);
}
