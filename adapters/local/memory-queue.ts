import type { Order, QueueName } from "../../mirror/orders.ts";
import type { Queue } from "../../mirror/ports.ts";
import { type FaultHook, underFault } from "./fault.ts";

/**
 * The queue of the embedded mirror: it lives as long as the process, and is rebuilt from what the ledger says is due.
 * Each order comes once, oldest first, `fresh` before `backfill`.
 */
export class MemoryQueue implements Queue {
  readonly #orders: Record<QueueName, Order[]> = { fresh: [], backfill: [] };
  readonly #fault: FaultHook | undefined;
  #wake: () => void = () => {};

  constructor(fault?: FaultHook) {
    this.#fault = fault;
  }

  send(queue: QueueName, orders: readonly Order[]): Promise<void> {
    return underFault(this.#fault, { method: "queue.send", key: queue }, () => {
      this.#orders[queue].push(...orders.map((order) => structuredClone(order)));
      this.#wake();
    });
  }

  /** Takes the next order out; undefined when both queues are empty. */
  take(): { readonly queue: QueueName; readonly order: Order } | undefined {
    for (const queue of ["fresh", "backfill"] as const) {
      const order = this.#orders[queue].shift();
      if (order !== undefined) return { queue, order };
    }
    return undefined;
  }

  /**
   * Hands out orders, at most `concurrency` at once, until the queue is empty and every handler has ended; what
   * handlers send meanwhile is handed out too. A handler that throws stops none of the others.
   * @throws AggregateError of all that handlers threw, once all is done.
   */
  async drain(
    handle: (order: Order) => Promise<void>,
    { concurrency }: { readonly concurrency: number },
  ): Promise<void> {
    const errors: unknown[] = [];
    const running = new Set<Promise<void>>();
    for (;;) {
      const sent = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      while (running.size < concurrency) {
        const next = this.take();
        if (next === undefined) break;
        const work: Promise<void> = Promise.resolve(next.order)
          .then(handle)
          .catch((error: unknown) => void errors.push(error))
          .then(() => void running.delete(work));
        running.add(work);
      }
      if (running.size === 0) break;
      await Promise.race([...running, ...(running.size < concurrency ? [sent] : [])]);
    }
    if (errors.length > 0)
      throw new AggregateError(
        errors,
        `${errors.length} orders failed in ways that their handler did not expect`,
      );
  }
}
