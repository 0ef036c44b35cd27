import { SendMessageBatchCommand, type SQSClient } from "@aws-sdk/client-sqs";
import pLimit from "p-limit";
import { MirrorError } from "../../mirror/errors.ts";
import type { Order, QueueName } from "../../mirror/orders.ts";
import type { Queue } from "../../mirror/ports.ts";
import { translated } from "./errors.ts";
import { pause, TRIES } from "./retry.ts";

/** SendMessageBatch takes this many messages (Amazon SQS, message quotas) … */
const BATCH_ENTRIES = 10;
/** … and this many bytes of all of them: 1 MiB. */
const BATCH_BYTES = 1_048_576;
/** Batches on their way at the same time. */
const PARALLEL_BATCHES = 8;

/** Two standard queues: at least once, in no order. An order is durable once it was sent. */
export class SqsQueue implements Queue {
  readonly #client: SQSClient;
  readonly #urls: Readonly<Record<QueueName, string>>;

  constructor({
    client,
    urls,
  }: { readonly client: SQSClient; readonly urls: Readonly<Record<QueueName, string>> }) {
    this.#client = client;
    this.#urls = urls;
  }

  /** When this throws, some of the orders may have been sent: to send all again is safe. */
  async send(queue: QueueName, orders: readonly Order[]): Promise<void> {
    const limit = pLimit(PARALLEL_BATCHES);
    const bodies = orders.map((order) => JSON.stringify(order));
    const sent = await Promise.allSettled(
      batches(bodies).map((batch) => limit(() => this.#sendBatch(queue, batch))),
    );
    for (const batch of sent) if (batch.status === "rejected") throw batch.reason;
  }

  async #sendBatch(queue: QueueName, bodies: readonly string[]): Promise<void> {
    let unsent = bodies;
    for (let attempt = 0; ; attempt++) {
      const entries = unsent.map((body, index) => ({ Id: String(index), MessageBody: body }));
      const command = new SendMessageBatchCommand({ QueueUrl: this.#urls[queue], Entries: entries });
      const { Failed = [] } = await translated(`queue ${queue}`, "orders", () => this.#client.send(command));
      if (Failed.length === 0) return;
      const refused = Failed.find((failure) => failure.SenderFault) ?? Failed[0];
      if (refused?.SenderFault || attempt + 1 === TRIES) {
        throw new MirrorError(
          "transient",
          "orders",
          `orders: queue ${queue}: ${Failed.length} of ${bodies.length} not taken: ${refused?.Code ?? "no reason given"}`,
        );
      }
      const again = new Set(Failed.map((failure) => failure.Id));
      unsent = unsent.filter((_, index) => again.has(String(index)));
      await pause(attempt);
    }
  }
}

/** Cuts messages into batches, in order, each within both of SQS's limits. */
export function batches(bodies: readonly string[]): string[][] {
  const cut: string[][] = [];
  let bytes = 0;
  for (const body of bodies) {
    const size = Buffer.byteLength(body);
    const last = cut.at(-1);
    if (last === undefined || last.length === BATCH_ENTRIES || bytes + size > BATCH_BYTES) {
      cut.push([body]);
      bytes = size;
    } else {
      last.push(body);
      bytes += size;
    }
  }
  return cut;
}
