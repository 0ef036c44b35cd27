import type { SQSBatchResponse, SQSEvent } from "aws-lambda";

/**
 * Handles every message of a batch side by side; those that throw come back, after the queue's visibility time and at
 * last in its dead-letter queue, and the others are done.
 */
export async function eachMessage(
  event: SQSEvent,
  handle: (body: string) => Promise<void>,
): Promise<SQSBatchResponse> {
  // async: what `handle` throws before its first await must not fail the other messages too.
  const results = await Promise.allSettled(event.Records.map(async (message) => await handle(message.body)));
  const batchItemFailures = results.flatMap((result, at) => {
    if (result.status === "fulfilled") return [];
    console.error(JSON.stringify({ message: "order failed", error: String(result.reason) }));
    return [{ itemIdentifier: event.Records[at]?.messageId ?? "" }];
  });
  return { batchItemFailures };
}
