import { parseModuleVersion } from "../gomod/version.ts";
import { applyBlock, type BlockParts, logDecision } from "./block.ts";
import {
  type Block,
  blockOf,
  forgetBlocks,
  parseBlock,
  printBlock,
  readBlocks,
  ruleOfBlock,
} from "./blocks.ts";
import { settleRequestsOf } from "./dependents.ts";
import { misuse } from "./errors.ts";
import { ERROR_BYTES } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import type { Ledger } from "./ports.ts";
import { markReleased, noteOf, restore } from "./quarantine.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { contended, MOST_RACES, updateRecords } from "./update.ts";

/** BLOCKED records are read so many at a time. */
const PAGE = 500;

/**
 * Lets what a block took out come back: its zips from quarantine, compared with their proven hash, its places in lists.
 * What was never here whole is fetched as the policy says. Doing it again after a crash goes on.
 * @throws MirrorError misuse where there is no such block, and nothing that it took out.
 */
export async function unblock(
  parts: BlockParts,
  name: string,
  by: string,
): Promise<{ readonly versions: number; readonly restored: number }> {
  const item = await parts.ledger.readItem("block", name);
  const block = item && parseBlock(item);
  const inForce = block !== undefined && block.lifted === undefined;
  if (!inForce && (await takenOutBy(parts.ledger, name)).length === 0) {
    const names = (await readBlocks(parts.ledger)).map((other) => other.name);
    throw misuse(name, `${name}: not blocked; blocked are: ${names.slice(0, 20).join(", ") || "nothing"}`);
  }
  await logDecision(parts, { decision: "unblock", name, by, at: parts.now() });
  // One that died half-way may have taken off lists what its records still say is listed.
  if (inForce && block.applied === undefined) await applyBlock(parts, block);
  await lift(parts, name);
  return await giveBack(parts, name);
}

/**
 * Gives back once more what lifted blocks name, when every unit of work that had begun before has ended: one that went
 * by what it had read of the blocks may have taken out or refused something since. Then the block is forgotten. For
 * reconcile. @returns how many were.
 */
export async function finishUnblocks(parts: BlockParts, blocks: readonly Block[]): Promise<number> {
  let finished = 0;
  for (const block of blocks) {
    if (block.lifted === undefined || parts.now() < block.lifted + ORDER_LOST_AFTER) continue;
    await giveBack(parts, block.name);
    // Where it has been blocked again meanwhile, it stays.
    if (await parts.ledger.deleteItem(printBlock(block))) finished++;
  }
  return finished;
}

async function lift({ ledger, now }: BlockParts, name: string): Promise<void> {
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem("block", name);
    const block = item && parseBlock(item);
    const isLifted = block === undefined || block.lifted !== undefined;
    if (isLifted || (await ledger.writeItem(printBlock({ ...block, lifted: now() }))) !== "changed")
      return forgetBlocks(ledger);
  }
  throw contended(`block ${name}`);
}

async function giveBack(
  parts: BlockParts,
  name: string,
): Promise<{ readonly versions: number; readonly restored: number }> {
  const out = await takenOutBy(parts.ledger, name);
  const others = await readBlocks(parts.ledger);
  let restored = 0;
  for (const record of out) {
    const other = blockOf(others, record);
    if (other !== undefined) await moveTo(parts, record, other);
    else if (await release(parts, record)) restored++;
  }
  await settleRequestsOf(parts, out);
  return { versions: out.length, restored };
}

/** @returns whether it is served again; else it waits to be fetched. */
async function release(parts: BlockParts, record: VersionRecord): Promise<boolean> {
  const { path, version } = record;
  const note = await noteOf(parts, record);
  const ready = note?.state === "kept" && note.ready && (await restore(parts, record));
  await updateRecords(
    parts.ledger,
    [record],
    (current) => (current?.state === "BLOCKED" ? released(current, ready, parts.now()) : current),
    () => ({ event: "unblocked", version: { path, version }, at: parts.now() }),
  );
  parts.report({ event: "unblocked", version: { path, version } });
  // Listed again by its requests, which know whether what it needs is held (settleRequestsOf).
  if (note !== undefined) await markReleased(parts, record, note);
  return ready;
}

function released(record: VersionRecord, ready: boolean, now: number): VersionRecord {
  const { rule: _rule, lastError: _error, due: _due, ...rest } = record;
  return ready
    ? { ...rest, state: "READY", held: "whole" }
    : { ...rest, state: "PENDING", wantedAt: now, due: now };
}

async function moveTo(parts: BlockParts, record: VersionRecord, block: Block): Promise<void> {
  await updateRecords(parts.ledger, [record], (current) =>
    current?.state === "BLOCKED"
      ? {
          ...current,
          rule: ruleOfBlock(block.name),
          lastError: { class: "denied", message: firstBytes(block.reason, ERROR_BYTES) },
        }
      : current,
  );
}

/** BLOCKED records that this block has taken out. */
async function takenOutBy(ledger: Ledger, name: string): Promise<VersionRecord[]> {
  const rule = ruleOfBlock(name);
  const isIts = (record: VersionRecord | undefined) => record?.state === "BLOCKED" && record.rule === rule;
  if (name.includes("@")) {
    const [record] = await ledger.read([parseModuleVersion(name)]);
    return record !== undefined && isIts(record) ? [record] : [];
  }
  const found: VersionRecord[] = [];
  let after: VersionRecord | undefined;
  do {
    const page = await ledger.inState("BLOCKED", { limit: PAGE, ...(after && { after }) });
    found.push(...page.filter(isIts));
    after = page.at(-1);
  } while (after !== undefined);
  return found;
}
