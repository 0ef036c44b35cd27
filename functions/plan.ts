import type { Context } from "aws-lambda";
import { plan } from "../mirror/plan.ts";
import { advanceHead } from "./advance-head.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const parts = mirrorParts(environment);

/** The object in the inbox notifies accept-request by itself: accepting it here too would resolve it twice at once. */
const accept = async (): Promise<void> => {};

/** A tick of the feed. */
export const handler = async (_event: unknown, context: Context): Promise<void> => {
  await advanceHead(parts);
  const labels = await plan(parts, environment.modules, owner, { deadline: deadlineOf(context), accept });
  console.log(JSON.stringify({ message: "planned", labels }));
};
