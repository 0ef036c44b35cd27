import type { APIGatewayProxyEvent, APIGatewayProxyResult } from "aws-lambda";
import { answer } from "../mirror/serve.ts";
import { parseTreeKey } from "../mirror/tree-keys.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { gatewayReply, requestPath, unavailable } from "./gateway-reply.ts";
import { serveParts } from "./parts.ts";

const parts = serveParts(readFunctionEnvironment(process.env));

/**
 * Lambda's reply is 6 MB of JSON, about 4.4 MB of bytes in base64; text grows by its escapes, at worst sixfold.
 * What is larger is redirected (facts: emulators).
 */
const INLINE = 1_000_000;

/** GOPROXY and checksum database requests behind the REST API. */
export const handler = async (event: APIGatewayProxyEvent): Promise<APIGatewayProxyResult> => {
  try {
    const path = requestPath(event);
    // Tiles are binary, and would reach a client without an Accept header in base64: they go by a link, as zips do.
    const inline = parseTreeKey(path)?.kind === "tile" ? 0 : INLINE;
    return await gatewayReply(await answer(parts, path, inline), event.headers);
  } catch (error) {
    return unavailable(error);
  }
};
