import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { acceptRequest } from "../mirror/accept.ts";
import { asMirrorError } from "../mirror/errors.ts";
import { eachMessage } from "./each-message.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { parseNotification } from "./notification.ts";
import { mirrorParts } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);

/** Objects that came into the vault's inbox. */
export const handler = (event: SQSEvent): Promise<SQSBatchResponse> =>
  log.call(() =>
    eachMessage(event, log, async (body) => {
      const { requests, others } = parseNotification(body);
      for (const key of others) {
        const message = "object in the inbox is no request";
        log.write({ level: "warn", action: "key-ignored", message, labels: { key } });
      }
      for (const request of requests) await acceptOrReport(request);
    }),
  );

/** A request that does not parse is noted as REFUSED: handing it to the queue again would not help. */
async function acceptOrReport(request: Parameters<typeof acceptRequest>[1]): Promise<void> {
  const labels = { request: `${request.name}/${request.time}` };
  try {
    await acceptRequest(parts, request);
    log.write({ level: "info", action: "accepted", message: "request is accepted", labels });
  } catch (thrown) {
    const error = asMirrorError(thrown, labels.request);
    if (error.class !== "misuse") throw error;
    log.failure("request-refused", "request is refused", error, labels);
  }
}
