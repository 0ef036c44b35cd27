import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { acceptRequest } from "../mirror/accept.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { eachMessage } from "./each-message.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { parseNotification } from "./notification.ts";
import { mirrorParts } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** Objects that came into the vault's inbox. */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> =>
  eachMessage(event, async (body) => {
    const { requests, others } = parseNotification(body);
    for (const key of others)
      console.error(JSON.stringify({ message: "not a request's key", labels: { key } }));
    for (const request of requests) await acceptOrReport(request);
  });

/** A request that does not parse is noted as REFUSED: handing it to the queue again would not help. */
async function acceptOrReport(request: Parameters<typeof acceptRequest>[1]): Promise<void> {
  try {
    await acceptRequest(parts, request);
  } catch (thrown) {
    const error = asMirrorError(thrown, `${request.name}/${request.time}`);
    if (error.class !== "misuse") throw error;
    console.error(
      JSON.stringify({ message: "request refused", labels: { ...request, reason: error.message } }),
    );
  }
}
