import { SendMessageCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { translated } from "./errors.ts";

/** The queue that a function is woken by, for what it tells itself. */
export class WakeQueue {
  readonly #client: SQSClient;
  readonly #url: string;

  constructor({ client, url }: { readonly client: SQSClient; readonly url: string }) {
    this.#client = client;
    this.#url = url;
  }

  /** Durable on return; comes at least once. @param seconds until it comes, 900 at most (Amazon SQS, DelaySeconds). */
  async wake(message: object, seconds = 0): Promise<void> {
    const command = new SendMessageCommand({
      QueueUrl: this.#url,
      MessageBody: JSON.stringify(message),
      DelaySeconds: seconds,
    });
    await translated("queue of bundles", "message", () => this.#client.send(command));
  }
}
