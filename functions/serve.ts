import type { APIGatewayProxyEvent, APIGatewayProxyResult } from "aws-lambda";
import { answer } from "../mirror/serve.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { gatewayReply, requestPath, unavailable } from "./gateway-reply.ts";
import { serveParts } from "./parts.ts";

const parts = serveParts(readFunctionEnvironment(process.env));

/** Lambda's reply is 6 MB of JSON, about 4.4 MB of bytes in base64: what is larger is redirected (facts: emulators). */
const INLINE = 4_000_000;

/** GOPROXY and checksum database requests behind the REST API. */
export const handler = async (event: APIGatewayProxyEvent): Promise<APIGatewayProxyResult> => {
  try {
    return await gatewayReply(await answer(parts, requestPath(event), INLINE), event.headers);
  } catch (error) {
    return unavailable(error);
  }
};
