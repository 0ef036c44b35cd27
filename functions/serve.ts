import type { APIGatewayProxyEvent, APIGatewayProxyResult } from "aws-lambda";
import { answer } from "../mirror/serve.ts";
import { traceOfRequest } from "../mirror/trace.ts";
import { parseTreeKey } from "../mirror/tree-keys.ts";
import { answerAtDesk, isForDesk } from "./desk.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { gatewayReply, header, requestPath, unavailable } from "./gateway-reply.ts";
import { deskParts, serveParts } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = serveParts(environment);
const desk = deskParts(environment);

/**
 * Lambda's reply is 6 MB of JSON, about 4.4 MB of bytes in base64; text grows by its escapes, at worst sixfold.
 * What is larger is redirected (facts: emulators).
 */
const INLINE = 1_000_000;

/** GOPROXY and checksum database requests behind the REST API, and requests that CI hands in. */
export const handler = (event: APIGatewayProxyEvent): Promise<APIGatewayProxyResult> =>
  log.call(
    async () => {
      const started = performance.now();
      const path = requestPath(event);
      const reply = await replyTo(event, path);
      note(event, path, reply, performance.now() - started);
      return reply;
    },
    traceOfRequest((name) => header(event.headers, name)),
  );

async function replyTo(event: APIGatewayProxyEvent, path: string): Promise<APIGatewayProxyResult> {
  try {
    if (desk !== undefined && isForDesk(path)) return await answerAtDesk(desk, event, path);
    // Tiles are binary, and would reach a client without an Accept header in base64: they go by a link, as zips do.
    const inline = parseTreeKey(path)?.kind === "tile" ? 0 : INLINE;
    return await gatewayReply(await answer(parts, path, inline), event.headers);
  } catch (error) {
    return unavailable(error, log);
  }
}

/** A line and the figures of each answer; who took which zip is read from these lines. */
function note(
  { httpMethod: method = "GET", requestContext }: APIGatewayProxyEvent,
  path: string,
  { statusCode: status, body, isBase64Encoded }: APIGatewayProxyResult,
  duration: number,
): void {
  const bytes = Buffer.byteLength(body, isBase64Encoded ? "base64" : "utf8");
  const client = requestContext?.identity?.sourceIp;
  const http = {
    method,
    path: `/${path}`,
    status,
    bytes,
    duration,
    ...(typeof client === "string" ? { client } : {}),
  };
  log.write({ level: "info", action: "answered", message: "request is answered", http });
  log.metrics.add("Requests", "Count", 1, {
    name: "StatusClass",
    value: `${Math.floor(status / 100)}xx`,
  });
  log.metrics.add("BytesServed", "Bytes", bytes);
  log.metrics.observe("AnswerTime", "Milliseconds", duration);
}
