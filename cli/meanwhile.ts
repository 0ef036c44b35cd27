import { setTimeout as sleep } from "node:timers/promises";
import type { ModulePath } from "../gomod/module-path.ts";
import { parseModuleVersion } from "../gomod/version.ts";
import { finishBlocks } from "../mirror/block.ts";
import { forgetBlocks, readBlocks } from "../mirror/blocks.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { type LeftOrder, takeOrders } from "../mirror/left-orders.ts";
import type { MirrorParts } from "../mirror/parts.ts";
import { resolveConflict } from "../mirror/resolve-conflict.ts";
import { retry } from "../mirror/retry.ts";
import { unblock } from "../mirror/unblock.ts";
import { type Output, oneLine } from "./output.ts";

/** The writer looks so often for what others have decided, in ms: two queries of the ledger's file. */
const LOOK = 2_000;

/**
 * What the one writer of a folder mirror does beside its rounds, however long these take: it takes out what `modferry
 * block` has blocked meanwhile in another process, and carries out what `modferry unblock`, `retry` and `resolve-conflict`
 * have left to it. What reconcile does besides is left to the rounds.
 * @returns ends it.
 */
export function workMeanwhile(parts: MirrorParts, output: Output): () => Promise<void> {
  const ended = new AbortController();
  const blocks = async () => {
    const left = (await readBlocks(parts.ledger)).filter(({ applied }) => applied === undefined);
    if (left.length === 0) return;
    // The workers of this process go by it from now on too.
    forgetBlocks(parts.ledger);
    // Where this process's own reconcile is at them, it says so.
    if ((await finishBlocks(parts, left)) === undefined) return;
    for (const { name } of left) output.error(`modferry: blocked by hand, and taken out: ${oneLine(name)}`);
  };
  const orders = () =>
    takeOrders(parts.ledger, parts.now, async (order) => {
      const done = await carriedOut(parts, order);
      output.error(`modferry: ${order.verb} by hand, done: ${oneLine(order.name)}`);
      return done;
    });
  const look = async (what: string, act: () => Promise<void>) => {
    try {
      await act();
    } catch (thrown) {
      // The next look tries it again.
      output.error(`modferry: ${what}: ${oneLine(asMirrorError(thrown, "mirror").message)}`);
    }
  };
  const looking = (async () => {
    while (!ended.signal.aborted) {
      await sleep(LOOK, undefined, { signal: ended.signal }).catch(() => {});
      await look("blocks", blocks);
      await look("orders by hand", orders);
    }
  })();
  return async () => {
    ended.abort();
    await looking;
  };
}

async function carriedOut(parts: MirrorParts, order: LeftOrder) {
  const { name } = order;
  const provable = (path: ModulePath) => parts.databasesFor(path).length > 0;
  switch (order.verb) {
    case "unblock":
      return { ...(await unblock(parts, name, order.by)) };
    case "retry": {
      const { knowsCoverage } = order;
      return { ...(await retry({ ...parts, provable, knowsCoverage }, name === "all" ? undefined : name)) };
    }
    case "resolve-conflict": {
      const { resolution, by, reason } = order;
      const version = parseModuleVersion(name);
      return { state: await resolveConflict({ ...parts, provable }, version, resolution, { by, reason }) };
    }
  }
}
