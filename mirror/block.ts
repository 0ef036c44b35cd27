import { matchPrefixPatterns } from "../gomod/path-pattern.ts";
import { type ModuleVersion, parseModuleVersion } from "../gomod/version.ts";
import { type Block, forgetBlocks, parseBlock, printBlock } from "./blocks.ts";
import { sha256Of } from "./body.ts";
import { unlistDependents } from "./dependents.ts";
import type { MirrorParts } from "./parts.ts";
import type { Ledger } from "./ports.ts";
import { ORDER_LOST_AFTER, type VersionRecord } from "./records.ts";
import { requestTimeOf } from "./requests.ts";
import { blockVersion } from "./take-out.ts";
import { contended, MOST_RACES } from "./update.ts";

export type BlockParts = Pick<MirrorParts, "tree" | "vault" | "ledger" | "queue" | "zips" | "now" | "report">;

/**
 * Takes out a version, or all modules of a pattern with what comes of them later. First the decision in the vault, then
 * the block in the ledger, from when on every endpoint answers 403 within seconds and no worker brings in what it names,
 * then version by version what is here. Dying anywhere, it is finished by doing it again, or by reconcile.
 * @param name as blockName gives it.
 * @returns how many versions were taken out, and how many roots of lists that need one of them went with them.
 */
export async function block(
  parts: BlockParts,
  name: string,
  reason: string,
  by: string,
): Promise<{ readonly versions: number; readonly roots: number }> {
  return await applyBlock(parts, await handInBlock(parts, name, reason, by));
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
  const written = await writeBlock(parts.ledger, name, (known) => ({
    name,
    reason,
    by,
    at,
    revision: known?.revision ?? 0,
  }));
  forgetBlocks(parts.ledger);
  return written;
}

/** Takes out all that a block names and is here; what was out already, only as far as something is left of it. */
export async function applyBlock(
  parts: BlockParts,
  block: Block,
): Promise<{ readonly versions: number; readonly roots: number }> {
  let versions = 0;
  const out: ModuleVersion[] = [];
  for await (const record of namedBy(parts.ledger, block.name)) {
    if (await blockVersion(parts, record, block)) versions++;
    if (record.wanted === "whole" || record.held === "whole") out.push(record);
  }
  const roots = await unlistDependents(parts, out);
  const applied = parts.now();
  await writeBlock(parts.ledger, block.name, (known) =>
    known === undefined || known.at !== block.at ? undefined : { ...known, applied },
  ).catch(() => undefined);
  return { versions, roots };
}

/**
 * Blocks that a crash has left half done, and those that were done while a unit of work that had begun before could
 * still be at it: for reconcile. @returns how many were applied.
 */
export async function finishBlocks(parts: BlockParts, blocks: readonly Block[]): Promise<number> {
  let applied = 0;
  for (const block of blocks) {
    if (block.lifted !== undefined) continue;
    const safe = block.at + ORDER_LOST_AFTER;
    const left = block.applied === undefined || (block.applied < safe && parts.now() >= safe);
    if (!left) continue;
    await applyBlock(parts, block);
    applied++;
  }
  return applied;
}

/** Every record that a block names; of a pattern by reading them all. */
async function* namedBy(ledger: Ledger, name: string): AsyncGenerator<VersionRecord> {
  if (name.includes("@")) {
    const [record] = await ledger.read([parseModuleVersion(name)]);
    if (record !== undefined) yield record;
    return;
  }
  for await (const record of ledger.records()) if (matchPrefixPatterns(name, record.path)) yield record;
}

async function writeBlock(
  ledger: Ledger,
  name: string,
  next: (known: Block | undefined) => Block | undefined,
): Promise<Block> {
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem("block", name);
    const known = item && parseBlock(item);
    const wanted = next(known);
    if (wanted === undefined) throw contended(`block ${name}`);
    const written = await ledger.writeItem(printBlock(wanted));
    if (written !== "changed") return parseBlock(written);
  }
  throw contended(`block ${name}`);
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
