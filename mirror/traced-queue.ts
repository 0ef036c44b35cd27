import type { Queue } from "./ports.ts";
import { currentTrace } from "./trace.ts";

/** A queue whose orders carry the trace that they are sent under. */
export function tracedQueue(queue: Queue): Queue {
  return {
    send: (name, orders) => {
      const trace = currentTrace();
      const traced = trace === undefined ? orders : orders.map((order) => ({ trace, ...order }));
      return queue.send(name, traced);
    },
  };
}
