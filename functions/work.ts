import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda";
import { parseOrder } from "../mirror/orders.ts";
import { currentTrace, newTraceId, withTrace } from "../mirror/trace.ts";
import { work } from "../mirror/work.ts";
import { eachMessage } from "./each-message.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { deadlineOf, mirrorParts } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);

/** Resolve and fetch orders, each under the trace of what set it off. */
export const handler = (event: SQSEvent, context: Context): Promise<SQSBatchResponse> =>
  log.call(() =>
    eachMessage(event, log, async (body) => {
      const order = parseOrder(body);
      const trace = order.trace ?? currentTrace() ?? newTraceId();
      await withTrace(trace, () => work(parts, order, deadlineOf(context)));
    }),
  );
