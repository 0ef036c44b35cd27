import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import type { FunctionLog } from "./function-log.ts";

/**
 * Handles every message of a batch side by side; those that throw come back, after the queue's visibility time and at
 * last in its dead-letter queue, and the others are done.
 */
export async function eachMessage(
  event: SQSEvent,
  log: FunctionLog,
  handle: (body: string) => Promise<void>,
): Promise<SQSBatchResponse> {
  // async: what `handle` throws before its first await must not fail the other messages too.
  const results = await Promise.allSettled(event.Records.map(async (message) => await handle(message.body)));
  const batchItemFailures = results.flatMap((result, at) => {
    if (result.status === "fulfilled") return [];
    const message_id = event.Records[at]?.messageId;
    log.failure("message-failed", "message is handed back to its queue", result.reason, { message_id });
    log.metrics.add("MessagesFailed", "Count", 1);
    return [{ itemIdentifier: event.Records[at]?.messageId ?? "" }];
  });
  return { batchItemFailures };
}
