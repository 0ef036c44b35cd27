import { z } from "zod";
import type { Block } from "../blocks.ts";
import { printBlock } from "../blocks.ts";
import type { Sha256 } from "../body.ts";
import { evidenceKey } from "../fork-stop.ts";
import type { LedgerItem } from "../ledger-entries.ts";
import type { Ledger, Vault } from "../ports.ts";

type DecisionParts = {
  readonly vault: Pick<Vault, "get" | "keys">;
  readonly ledger: Pick<Ledger, "readItem" | "writeItem" | "readStop" | "writeStop">;
  readonly databases: readonly string[];
  readonly now: () => number;
};

/** A decision is a line; the reason is the longest part of it. */
const LARGEST_DECISION = 64 * 1024;

const time = z.int().min(0);
const blockShape = z.object({
  decision: z.enum(["block", "unblock"]),
  name: z.string().min(1).max(4_096),
  by: z.string().min(1).max(200),
  at: time,
  reason: z.string().min(1).optional(),
});
const dropShape = z.object({ name: z.string().min(1).max(200), at: time, by: z.string().min(1).max(200) });
const clearShape = z.object({ evidence: z.string().regex(/^[0-9a-f]{64}$/) });

/** What of the vault's decisions is in force again. */
export interface RestoredDecisions {
  readonly blocks: readonly Block[];
  readonly stops: readonly string[];
  readonly drops: number;
  /** Keys that could not be read; what they decided is not in force. */
  readonly unreadable: readonly string[];
}

/**
 * What operators have decided, from the vault's log, into a ledger that has forgotten it: blocks, dropped requests, and
 * the stops of checksum databases that forked and were not cleared. What the ledger knows already stays as it is. Before
 * anything is served by the new ledger.
 */
export async function restoreDecisions(parts: DecisionParts): Promise<RestoredDecisions> {
  const unreadable: string[] = [];
  const last = new Map<string, z.output<typeof blockShape>>();
  for await (const decision of read(parts, "decisions/block/", blockShape, unreadable))
    last.set(decision.name, decision);
  const blocks: Block[] = [];
  for (const { decision, name, by, at, reason } of last.values()) {
    if (decision === "unblock") continue;
    const block: Block = { name, by, at, reason: reason ?? "blocked", revision: 0 };
    blocks.push(block);
    await addItem(parts.ledger, printBlock(block));
  }
  const drops = new Map<string, z.output<typeof dropShape>>();
  for await (const drop of read(parts, "decisions/drop-request/", dropShape, unreadable))
    drops.set(drop.name, drop);
  for (const { name, at, by } of drops.values())
    await addItem(parts.ledger, { kind: "control", name: `drop/${name}`, revision: 0, value: { at, by } });
  return { blocks, stops: await restoreStops(parts, unreadable), drops: drops.size, unreadable };
}

/** Keys begin with the time, so the last decision of a subject comes last. */
async function* read<T>(
  { vault }: DecisionParts,
  prefix: string,
  shape: z.ZodType<T>,
  unreadable: string[],
): AsyncGenerator<T> {
  for await (const key of vault.keys(prefix)) {
    const bytes = await vault.get(key, LARGEST_DECISION);
    const parsed = shape.safeParse(json(bytes));
    if (parsed.success) yield parsed.data;
    else unreadable.push(key);
  }
}

function json(bytes: Uint8Array | undefined): unknown {
  try {
    return bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Where another one is there it is newer, or the same. */
async function addItem(ledger: DecisionParts["ledger"], item: LedgerItem): Promise<void> {
  if ((await ledger.readItem(item.kind, item.name)) === undefined) await ledger.writeItem(item);
}

/** A report begins with the name of the database that forked (sumdb/fork-report.ts); cleared ones are in the log. */
async function restoreStops(parts: DecisionParts, unreadable: string[]): Promise<readonly string[]> {
  const { vault, ledger, databases, now } = parts;
  const cleared = new Set<string>();
  for await (const { evidence } of read(parts, "decisions/clear-fork/", clearShape, unreadable))
    cleared.add(evidence);
  const stops: string[] = [];
  for await (const key of vault.keys("evidence/fork/")) {
    const evidence = key.slice("evidence/fork/".length) as Sha256;
    if (cleared.has(evidence) || evidenceKey({ evidence }) !== key) continue;
    const report = await vault.get(key, LARGEST_REPORT);
    const database = databases.find((name) => nameIn(report, name));
    if (database === undefined) {
      unreadable.push(key);
      continue;
    }
    stops.push(database);
    if ((await ledger.readStop(database)) === undefined)
      await ledger.writeStop({ database, at: now(), evidence });
  }
  return stops;
}

/** Two signed notes, of which each may have a megabyte, and a proof. */
const LARGEST_REPORT = 16 * 1024 * 1024;

/** Notes are signed by lines `— <name> <key>` (golang.org/x/mod/sumdb/note). */
function nameIn(report: Uint8Array | undefined, database: string): boolean {
  return report !== undefined && Buffer.from(report).includes(`\u2014 ${database} `);
}
