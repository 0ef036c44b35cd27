import { type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { applyBlock, type BlockParts, logDecision } from "./block.ts";
import { underBlockLease } from "./block-lease.ts";
import { BlockPass, writeBlock } from "./block-pass.ts";
import {
  type Block,
  blockOf,
  forgetBlocks,
  isNamed,
  parseBlock,
  printBlock,
  readBlocks,
  ruleOfBlock,
} from "./blocks.ts";
import { type Deadline, noDeadline, TIME_TO_CLOSE } from "./deadline.ts";
import { relistRequestsOf } from "./dependents.ts";
import { MirrorError, misuse } from "./errors.ts";
import { ERROR_BYTES } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import type { Ledger } from "./ports.ts";
import { markReleased, noteOf, restore } from "./quarantine.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { updateRecords } from "./update.ts";

/** BLOCKED records are read so many at a time. */
const PAGE = 500;

/** So long an unblock waits for another that is at blocks, in ms: longer than the lease of one that died. */
const PATIENCE = 125_000;

/** What an unblock has given back. */
export interface GivenBack {
  /** Of those taken out; `restored` of them are served again, the others wait to be fetched. */
  readonly versions: number;
  readonly restored: number;
  /** There was no time for the rest: reconcile goes on with it. */
  readonly unfinished?: true;
}

/**
 * Lets what a block took out come back: its zips from quarantine, compared with their proven hash, its places in lists.
 * What was never here whole is fetched as the policy says. Doing it again after a crash goes on.
 * @throws MirrorError misuse where there is no such block, and nothing that it took out; transient where another is at
 * blocks and does not end.
 */
export async function unblock(
  parts: BlockParts,
  name: string,
  by: string,
  deadline: Deadline = noDeadline,
): Promise<GivenBack> {
  const given = await underBlockLease(
    parts,
    deadline,
    (within) => unblockAlone(parts, name, by, within),
    Math.min(PATIENCE, Math.max(0, deadline.remaining() - TIME_TO_CLOSE)),
  );
  if (given !== undefined) return given;
  const message = `${name}: something is just being taken out or given back, as for a large pattern; unblock it in some minutes`;
  throw new MirrorError("transient", name, message);
}

async function unblockAlone(
  parts: BlockParts,
  name: string,
  by: string,
  deadline: Deadline,
): Promise<GivenBack> {
  const block = await read(parts.ledger, name);
  const inForce = block !== undefined && block.lifted === undefined;
  if (!inForce && !(await hasTakenOut(parts.ledger, name))) {
    const names = (await readBlocks(parts.ledger)).map((other) => other.name);
    throw misuse(name, `${name}: not blocked; blocked are: ${names.slice(0, 20).join(", ") || "nothing"}`);
  }
  await logDecision(parts, { decision: "unblock", name, by, at: parts.now() });
  // One that died half-way may have taken off lists what its records still say is listed.
  if (inForce && block.applied === undefined && (await applyBlock(parts, block, deadline)).unfinished) {
    const message = `${name}: is still being taken out, by reconcile; unblock it when that has come to its end`;
    throw new MirrorError("transient", name, message);
  }
  return await giveBack(parts, (await lift(parts, name)) ?? noLongerThere(name), deadline);
}

/** For what a block took out that is forgotten by now. */
function noLongerThere(name: string): Block {
  return { name, reason: "", by: "", at: 0, revision: 0 };
}

/**
 * Gives back once more what lifted blocks name, when every unit of work that had begun before has ended: one that went
 * by what it had read of the blocks may have taken out or refused something since. Then the block is forgotten. What an
 * unblock had no time for is given back at once. For reconcile. @returns how many were forgotten.
 */
export async function finishUnblocks(
  parts: BlockParts,
  blocks: readonly Block[],
  deadline: Deadline = noDeadline,
): Promise<number> {
  const isDue = ({ lifted, progress }: Block) =>
    lifted !== undefined && (progress !== undefined || parts.now() >= lifted + ORDER_LOST_AFTER);
  const due = blocks.filter(isDue);
  if (due.length === 0) return 0;
  const finished = await underBlockLease(parts, deadline, async (within) => {
    let forgotten = 0;
    for (const { name } of due) {
      if (within.remaining() < TIME_TO_CLOSE) break;
      const block = await read(parts.ledger, name);
      if (block?.lifted === undefined || !isDue(block)) continue;
      const began = block.progress?.since ?? parts.now();
      const { unfinished } = await giveBack(parts, block, within);
      if (unfinished || began < block.lifted + ORDER_LOST_AFTER) continue;
      const known = await read(parts.ledger, name);
      // Where it has been blocked again meanwhile, it stays.
      if (known?.lifted === block.lifted && (await parts.ledger.deleteItem(printBlock(known)))) forgotten++;
    }
    return forgotten;
  });
  return finished ?? 0;
}

async function read(ledger: Pick<Ledger, "readItem">, name: string): Promise<Block | undefined> {
  const item = await ledger.readItem("block", name);
  return item && parseBlock(item);
}

/** @returns the block as it is now. */
async function lift({ ledger, now }: BlockParts, name: string): Promise<Block | undefined> {
  const lifted = await writeBlock(ledger, name, (known) => {
    if (known === undefined || known.lifted !== undefined) return undefined;
    const { progress: _progress, ...rest } = known;
    return { ...rest, lifted: now() };
  });
  forgetBlocks(ledger);
  return lifted;
}

/** The versions first, then the requests that can list again what needs them: that is noted before the first version. */
async function giveBack(parts: BlockParts, block: Block, deadline: Deadline): Promise<GivenBack> {
  const pass = new BlockPass(parts, block, deadline);
  const others = await readBlocks(parts.ledger);
  let [versions, restored] = [0, 0];
  let owed = pass.isResumed;
  const records = await pass.step("records", async () => {
    for await (const record of takenOutBy(parts.ledger, block.name)) {
      if (!owed) await pass.note();
      owed = true;
      versions++;
      const other = blockOf(others, record);
      if (other !== undefined) await moveTo(parts, record, other);
      else if (await release(parts, record)) restored++;
      // They are BLOCKED no more: whoever goes on finds the others.
      if (!pass.hasTime) return false;
    }
    return true;
  });
  const isMeant = (version: ModuleVersion) => isNamed(block.name, version);
  const dependents =
    records &&
    (!owed || (await pass.step("dependents", (after) => relistRequestsOf(parts, isMeant, pass.walk(after)))));
  if (!dependents) return { versions, restored, unfinished: true };
  if (owed) await pass.end();
  return { versions, restored };
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
  // Listed again by its requests, which know whether what it needs is held (relistRequestsOf).
  if (note !== undefined) await markReleased(parts, record, note);
  return ready;
}

function released(record: VersionRecord, ready: boolean, now: number): VersionRecord {
  const { rule: _rule, lastError: _error, due: _due, ...rest } = record;
  return ready
    ? // Its feed waits until it is listed again (feed-work.ts).
      { ...rest, state: "READY", held: "whole", ...(rest.feed !== undefined && { awaited: true }) }
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

async function hasTakenOut(ledger: Ledger, name: string): Promise<boolean> {
  for await (const _record of takenOutBy(ledger, name)) return true;
  return false;
}

/** BLOCKED records that this block has taken out. */
async function* takenOutBy(ledger: Ledger, name: string): AsyncGenerator<VersionRecord> {
  const rule = ruleOfBlock(name);
  const isIts = (record: VersionRecord | undefined) => record?.state === "BLOCKED" && record.rule === rule;
  if (name.includes("@")) {
    const [record] = await ledger.read([parseModuleVersion(name)]);
    if (record !== undefined && isIts(record)) yield record;
    return;
  }
  let after: VersionRecord | undefined;
  do {
    const page = await ledger.inState("BLOCKED", { limit: PAGE, ...(after && { after }) });
    yield* page.filter(isIts);
    after = page.at(-1);
  } while (after !== undefined);
}
