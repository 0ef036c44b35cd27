import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { parseOrder } from "../mirror/orders.ts";
import { work } from "../mirror/work.ts";
import { eachMessage } from "./each-message.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { deadlineOf, mirrorParts } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** Resolve and fetch orders. */
export const handler = (event: SQSEvent, context: Context): Promise<SQSBatchResponse> =>
  eachMessage(event, (body) => work(parts, parseOrder(body), deadlineOf(context)));
