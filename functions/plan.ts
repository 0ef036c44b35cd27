import type { Context } from "aws-lambda";
import { z } from "zod";
import { advanceHeads } from "../mirror/advance-heads.ts";
import { completeTilesTick } from "../mirror/complete-tiles.ts";
import { liftStop } from "../mirror/fork-stop.ts";
import { plan } from "../mirror/plan.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { deadlineOf, mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const parts = mirrorParts(environment);

/** The object in the inbox notifies accept-request by itself: accepting it here too would resolve it twice at once. */
const accept = async (): Promise<void> => {};

/** What an operator invokes this function with to lift the stop of a database that forked (docs/deploy.md, Alarms). */
const clearing = z.strictObject({ clearFork: z.string(), by: z.string().min(1).max(200) });

/** A tick of the feed. */
export const handler = async (event: unknown, context: Context): Promise<void> => {
  if (typeof event === "object" && event !== null && "clearFork" in event) {
    const { clearFork, by } = clearing.parse(event);
    const { evidence } = await liftStop(parts, clearFork, by);
    console.log(JSON.stringify({ message: "fork cleared", labels: { database: clearFork, evidence, by } }));
  }
  for (const { database, error } of await advanceHeads(parts, parts.databases)) {
    const labels = { database, class: error.class, reason: error.message };
    console.error(JSON.stringify({ message: "head not advanced", labels }));
  }
  const deadline = deadlineOf(context);
  const labels = await plan(parts, environment.modules, owner, { deadline, accept });
  console.log(JSON.stringify({ message: "planned", labels }));
  // Last, in the time that is left: until it has ended once, clients do not ask this mirror for proofs.
  for (const { database, error } of await completeTilesTick(parts, parts.databases, owner, deadline)) {
    const labels = { database, ...(error && { class: error.class, reason: error.message }) };
    console.error(JSON.stringify({ message: "tiles not complete", labels }));
  }
};
