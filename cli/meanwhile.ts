import { setTimeout as sleep } from "node:timers/promises";
import { type BlockParts, finishBlocks } from "../mirror/block.ts";
import { forgetBlocks, readBlocks } from "../mirror/blocks.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { type Output, oneLine } from "./output.ts";

/** The writer looks so often for blocks that others have written, in ms: one query of the ledger's file. */
const BLOCKS_LOOK = 2_000;

/**
 * What the one writer of a folder mirror does beside its rounds, however long these take: it takes out what `modferry
 * block` has blocked meanwhile in another process. What reconcile does besides is left to the rounds.
 * @returns ends it.
 */
export function applyBlocksMeanwhile(parts: BlockParts, output: Output): () => Promise<void> {
  const ended = new AbortController();
  const look = async () => {
    try {
      const left = (await readBlocks(parts.ledger)).filter(({ applied }) => applied === undefined);
      if (left.length === 0) return;
      // The workers of this process go by it from now on too.
      forgetBlocks(parts.ledger);
      await finishBlocks(parts, left);
      for (const { name } of left) output.error(`modferry: blocked by hand, and taken out: ${oneLine(name)}`);
    } catch (thrown) {
      // The next look tries it again.
      output.error(`modferry: blocks: ${oneLine(asMirrorError(thrown, "mirror").message)}`);
    }
  };
  const looking = (async () => {
    while (!ended.signal.aborted) {
      await sleep(BLOCKS_LOOK, undefined, { signal: ended.signal }).catch(() => {});
      await look();
    }
  })();
  return async () => {
    ended.abort();
    await looking;
  };
}
