import { formatModuleVersion, type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { underBlockLease } from "./block-lease.ts";
import { BlockPass, writeBlock } from "./block-pass.ts";
import { type Block, forgetBlocks, isNamed, parseBlock } from "./blocks.ts";
import { sha256Of } from "./body.ts";
import { type Deadline, noDeadline, TIME_TO_CLOSE } from "./deadline.ts";
import { unlistDependents } from "./dependents.ts";
import { inBatches } from "./in-batches.ts";
import type { MirrorParts } from "./parts.ts";
import type { Ledger } from "./ports.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { requestTimeOf } from "./requests.ts";
import { refuseVersions, takeOut } from "./take-out.ts";

export type BlockParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "zips" | "now" | "report">;

/** What a block has taken out. */
export interface TakenOut {
  readonly versions: number;
  /** Of lists, that need one of these. */
  readonly roots: number;
  /** There was no time for the rest: reconcile goes on with it. */
  readonly unfinished?: true;
}

/**
 * Takes out a version, or all modules of a pattern with what comes of them later. First the decision in the vault, then
 * the block in the ledger, from when on every endpoint answers 403 within seconds and no worker brings in what it names,
 * then what is here. Dying anywhere, it is finished by doing it again, or by reconcile.
 * @param name as blockName gives it.
 */
export async function block(
  parts: BlockParts,
  name: string,
  reason: string,
  by: string,
  deadline?: Deadline,
): Promise<TakenOut> {
  return await applyBlock(parts, await handInBlock(parts, name, reason, by), deadline);
}

/**
 * The decision and the block alone: endpoints refuse what it names from now on, workers bring nothing of it in, and
 * reconcile takes the rest out.
 */
export async function handInBlock(
  parts: Pick<BlockParts, "vault" | "ledger" | "now">,
  name: string,
  reason: string,
  by: string,
): Promise<Block> {
  const at = parts.now();
  await logDecision(parts, { decision: "block", name, reason, by, at });
  const wanted = { name, reason, by, at };
  const written = await writeBlock(parts.ledger, name, (known) => ({
    ...wanted,
    revision: known?.revision ?? 0,
  }));
  forgetBlocks(parts.ledger);
  return written ?? { ...wanted, revision: 0 };
}

/** Records of one step that are worked on at a time. */
const RECORDS_AT_ONCE = 64;

/**
 * Takes out all that a block names and is here, in three steps, so that what a list names can be fetched at each moment:
 * the versions' places in lists and their records; the places of the roots that need one; their zips. What was out
 * already is looked at again. Where its time is up, the block notes how far it has come, and the next call goes on there.
 */
export async function applyBlock(
  parts: BlockParts,
  block: Block,
  deadline: Deadline = noDeadline,
): Promise<TakenOut> {
  const pass = new BlockPass(parts, block, deadline);
  const isMeant = (version: ModuleVersion) => isNamed(block.name, version);
  const isSecond = parts.now() >= block.at + ORDER_LOST_AFTER;
  let [versions, roots] = [0, 0];
  const records = await pass.step("records", (after) =>
    eachNamed(parts.ledger, pass, after, async (some) => {
      versions += await refuseVersions(parts, some, block);
    }),
  );
  const dependents =
    records &&
    (await pass.step("dependents", async (after) => {
      const unlisted = await unlistDependents(parts, isMeant, pass.walk(after));
      roots += unlisted.roots;
      return unlisted.isDone;
    }));
  const zips =
    dependents &&
    (await pass.step("zips", (after) =>
      eachNamed(parts.ledger, pass, after, (some) => takeOut(parts, some, isSecond)),
    ));
  if (!zips) return { versions, roots, unfinished: true };
  await pass.end();
  return { versions, roots };
}

/**
 * Blocks that a crash has left half done, and those that were done while a unit of work that had begun before could
 * still be at it: for reconcile. One that fails holds up none of the others; nothing is done while another is at blocks.
 * @returns how many were applied; undefined where another is at them.
 * @throws the first failure, at the end.
 */
export async function finishBlocks(
  parts: BlockParts,
  blocks: readonly Block[],
  deadline: Deadline = noDeadline,
): Promise<number | undefined> {
  const isLeft = ({ lifted, at, applied }: Block) => {
    const safe = at + ORDER_LOST_AFTER;
    return lifted === undefined && (applied === undefined || (applied < safe && parts.now() >= safe));
  };
  const left = blocks.filter(isLeft);
  if (left.length === 0) return 0;
  return await underBlockLease(parts, deadline, async (within) => {
    let applied = 0;
    const failures: unknown[] = [];
    for (const { name } of left) {
      if (within.remaining() < TIME_TO_CLOSE) break;
      try {
        const item = await parts.ledger.readItem("block", name);
        const block = item && parseBlock(item);
        if (block === undefined || !isLeft(block)) continue;
        await applyBlock(parts, block, within);
        applied++;
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0) throw failures[0];
    return applied;
  });
}

/**
 * Every record that a block names, some at a time; of a pattern by reading them all.
 * @returns whether there was time for all.
 */
async function eachNamed(
  ledger: Ledger,
  pass: BlockPass,
  after: string | undefined,
  act: (records: readonly VersionRecord[]) => Promise<void>,
): Promise<boolean> {
  const { name } = pass;
  if (name.includes("@")) {
    const [record] = await ledger.read([parseModuleVersion(name)]);
    if (record !== undefined) await act([record]);
    return true;
  }
  const from = after === undefined ? undefined : parseModuleVersion(after);
  for await (const records of inBatches(ledger.records(from), RECORDS_AT_ONCE)) {
    const named = records.filter((record) => isNamed(name, record));
    if (named.length > 0) await act(named);
    const last = records.at(-1);
    if (last !== undefined && !(await pass.reached(formatModuleVersion(last)))) return false;
  }
  return true;
}

/** Before it has any effect, so that an effect never stands without it. */
export async function logDecision(
  { vault }: Pick<BlockParts, "vault">,
  decision: {
    readonly decision: "block" | "unblock";
    readonly name: string;
    readonly by: string;
    readonly at: number;
    readonly reason?: string;
  },
): Promise<void> {
  const digest = sha256Of(Buffer.from(decision.name)).slice(0, 16);
  const key = `decisions/block/${requestTimeOf(decision.at)}-${digest}-${decision.decision}.json`;
  await vault.put(key, Buffer.from(`${JSON.stringify(decision)}\n`));
}
