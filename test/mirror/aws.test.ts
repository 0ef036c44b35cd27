import { afterAll } from "vitest";
import type { Order } from "../../mirror/orders.ts";
import type { Queue } from "../../mirror/ports.ts";
import { newLedger, newQueue, newTree, newVault } from "../contract/aws-stores.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "../contract/ministack.ts";
import { describeWithGo } from "../go-command.ts";
import { mirrorSuite } from "./mirror-suite.ts";

afterAll(stopEmulator);

describeWithGo("a mirror's engine in the cloud's stores", () => {
  describeWithEmulator("the emulator", () => {
    mirrorSuite("S3, DynamoDB and SQS", async () => {
      const settings = await emulatedAws();
      const [{ tree }, { vault }, { ledger }, { queue, receive }] = await Promise.all([
        newTree(settings),
        newVault(settings),
        newLedger(settings),
        newQueue(settings),
      ]);
      // Lambda's part: take what is there, ten at a time as the functions do, until as many are done as were sent.
      let open = 0;
      const counted: Queue = {
        send: async (name, orders) => {
          open += orders.length;
          await queue.send(name, orders);
        },
      };
      const drain = async (handle: (order: Order) => Promise<void>) => {
        while (open > 0) {
          const received = await receive();
          for (let at = 0; at < received.length; at += 10) {
            await Promise.all(received.slice(at, at + 10).map(({ order }) => handle(order)));
          }
          open -= received.length;
        }
      };
      return { tree, vault, ledger, queue: counted, drain, dispose: async () => {} };
    });
  });
});
