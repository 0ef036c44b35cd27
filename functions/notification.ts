import { z } from "zod";
import type { RequestKey } from "../mirror/orders.ts";
import { parseRequestInboxKey } from "../mirror/requests.ts";

/** S3's event message (Amazon S3, Event message structure). `s3:TestEvent` has no Records. */
const notification = z.object({
  Records: z.array(z.object({ s3: z.object({ object: z.object({ key: z.string() }) }) })).default([]),
});

/** What one notification names: requests, and keys that are none. */
export interface Notified {
  readonly requests: readonly RequestKey[];
  /** As they came; for a line of the log. */
  readonly others: readonly string[];
}

/**
 * Parses S3's notification of objects in the inbox; keys are form-encoded. Anybody who may write below the inbox chooses
 * them, so one that does not decode or is no request's holds up none of the others.
 * @throws ZodError or SyntaxError when the message is no notification: it goes to the dead-letter queue.
 */
export function parseNotification(body: string): Notified {
  const requests: RequestKey[] = [];
  const others: string[] = [];
  for (const { s3 } of notification.parse(JSON.parse(body)).Records) {
    const request = parseRequestInboxKey(decodeKey(s3.object.key) ?? "");
    if (request === undefined) others.push(s3.object.key);
    else requests.push(request);
  }
  return { requests, others };
}

function decodeKey(key: string): string | undefined {
  try {
    return decodeURIComponent(key.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}
