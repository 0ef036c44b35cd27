import type { APIGatewayProxyEvent, APIGatewayProxyResult } from "aws-lambda";
import { REQUESTS_PATH, RequestDesk } from "../mirror/request-desk.ts";
import { header } from "./gateway-reply.ts";
import type { DeskParts } from "./parts.ts";

/** Whether a path is for the desk of requests. */
export function isForDesk(path: string): boolean {
  return path.startsWith(`${REQUESTS_PATH}/`);
}

/**
 * A request handed in, or asked about, through the gateway, which takes bodies up to Lambda's 6 MB; what it hands in lies
 * in the inbox, whose notification sets off accept-request.
 * @throws MirrorError where the token cannot be read, or a store does not answer.
 */
export async function answerAtDesk(
  { token, ...parts }: DeskParts,
  event: APIGatewayProxyEvent,
  path: string,
): Promise<APIGatewayProxyResult> {
  const bearer = await token.authorization();
  const desk = new RequestDesk(parts, bearer.slice("Bearer ".length));
  const { status, type, text, location } = await desk.answer({
    method: event.httpMethod,
    path,
    authorization: header(event.headers, "authorization"),
    body: async () => Buffer.from(event.body ?? "", event.isBase64Encoded ? "base64" : "utf8"),
  });
  return {
    statusCode: status,
    headers: {
      "Content-Type": type,
      "Cache-Control": "no-store",
      ...(location === undefined ? {} : { Location: `${stageOf(event)}${location}` }),
      ...(status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
    },
    body: text,
  };
}

/** `/go`, which stands before the path of whoever asks the API by its own name. */
function stageOf({ requestContext, path }: APIGatewayProxyEvent): string {
  const whole = requestContext?.path ?? path;
  return whole.endsWith(path) ? whole.slice(0, whole.length - path.length) : "";
}
