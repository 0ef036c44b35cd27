import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { z } from "zod";
import { acceptRequest } from "../mirror/accept.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { parseRequestInboxKey } from "../mirror/requests.ts";
import { eachMessage } from "./each-message.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { mirrorParts } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** S3's event message (Amazon S3, Event message structure); keys are form-encoded. `s3:TestEvent` has no Records. */
const notification = z.object({
  Records: z.array(z.object({ s3: z.object({ object: z.object({ key: z.string() }) }) })).default([]),
});

/** Objects that came into the vault's inbox. */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> =>
  eachMessage(event, async (body) => {
    for (const record of notification.parse(JSON.parse(body)).Records) {
      const key = decodeURIComponent(record.s3.object.key.replaceAll("+", " "));
      const request = parseRequestInboxKey(key);
      if (request === undefined)
        console.error(JSON.stringify({ message: "not a request's key", labels: { key } }));
      else await acceptOrReport(request);
    }
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
