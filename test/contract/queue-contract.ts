import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { modulePath } from "../../gomod/module-path.ts";
import { version } from "../../gomod/version.ts";
import {
  type FetchOrder,
  type Order,
  type QueueName,
  type ResolveOrder,
  VERSIONS_PER_ORDER,
} from "../../mirror/orders.ts";
import type { Queue } from "../../mirror/ports.ts";

/** What a suite runs on: made once per suite, empty. */
export interface QueueFixture {
  readonly queue: Queue;
  /** Takes all that lies in the queues out of them, until they stay empty. */
  receive(): Promise<{ readonly queue: QueueName; readonly order: Order }[]>;
  dispose?(): Promise<void>;
}

const request = { name: "team.a_b-c", time: "20260101T000000000Z" };
const resolve: ResolveOrder = { kind: "resolve", request };
const fetchOrder = (number: number): FetchOrder => ({
  kind: "fetch",
  path: modulePath("github.com/Azure/azure-sdk-for-go"),
  versions: [version(`v68.${number}.0+incompatible`)],
  request,
  number,
});

/** Holds a Queue to every sentence of its port: at least once, so equal orders may come twice and are counted once. */
export function queueContract(name: string, makeQueue: () => Promise<QueueFixture>): void {
  describe(`${name} keeps the Queue port's promises`, () => {
    let fixture: QueueFixture;
    beforeAll(async () => {
      fixture = await makeQueue();
    });
    afterAll(() => fixture.dispose?.());
    const received = async () => {
      const lines = (await fixture.receive()).map(
        ({ queue, order }) => `${queue} ${JSON.stringify(sorted(order))}`,
      );
      return [...new Set(lines)].sort();
    };
    const expected = (queue: QueueName, orders: readonly Order[]) =>
      orders.map((order) => `${queue} ${JSON.stringify(sorted(order))}`);

    test("every order arrives on its queue as it was sent", async () => {
      const reconcile: FetchOrder = {
        kind: "fetch",
        path: modulePath(`example.com/${"long/".repeat(50)}x`),
        versions: Array.from({ length: VERSIONS_PER_ORDER }, (_, n) =>
          version(`v1.0.0-${"a1b2c3d4e5".repeat(19)}.${n}`),
        ),
      };
      await fixture.queue.send("fresh", [resolve, fetchOrder(0)]);
      await fixture.queue.send("backfill", [reconcile]);
      const wanted = [...expected("fresh", [resolve, fetchOrder(0)]), ...expected("backfill", [reconcile])];
      expect(await received()).toEqual(wanted.sort());
    });

    test("sending nothing sends nothing", async () => {
      await fixture.queue.send("fresh", []);
      expect(await received()).toEqual([]);
    });

    test("many orders in one call all arrive: no batch limit of the service shows", async () => {
      const orders = Array.from({ length: 64 }, (_, number) => fetchOrder(number));
      await fixture.queue.send("backfill", orders);
      expect(await received()).toEqual(expected("backfill", orders).sort());
    });
  });
}

/** The same order with its fields in one order, so that two spellings of it are one text. */
function sorted(order: Order): object {
  return Object.fromEntries(Object.entries(order).sort(([a], [b]) => (a < b ? -1 : 1)));
}
