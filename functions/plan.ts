import { plan } from "../mirror/plan.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { mirrorParts, owner } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const parts = mirrorParts(environment);

/** A tick of the feed. */
export const handler = async (): Promise<void> => {
  await parts.database.advance();
  const { found, failed, skipped } = await plan(parts, environment.modules, owner);
  console.log(JSON.stringify({ message: "planned", labels: { found, skipped, failed } }));
};
