import type { Order } from "../mirror/orders.ts";

/**
 * Lets the orders of one module run one after the other. What an earlier run left, its request taken up again and the
 * new request may all order the same versions: the first order fetches them, the others find them held.
 */
export function inTurnByModule(handle: (order: Order) => Promise<void>): (order: Order) => Promise<void> {
  const last = new Map<string, Promise<void>>();
  return async (order) => {
    if (order.kind !== "fetch") return await handle(order);
    const run = () => handle(order);
    const turn = (last.get(order.path) ?? Promise.resolve()).then(run, run);
    last.set(order.path, turn);
    await turn;
  };
}
