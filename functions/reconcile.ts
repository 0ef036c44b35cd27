import { reportStops } from "../mirror/advance-heads.ts";
import { reconcileTick } from "../mirror/reconcile.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { mirrorParts, owner } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** Sends again what is due or was lost; and says again what is stopped, for the alarm (infra/fork-alarm.ts). */
export const handler = async (): Promise<void> => {
  await reportStops(parts, parts.databases);
  const labels = await reconcileTick(parts, owner);
  console.log(JSON.stringify({ message: "reconciled", labels }));
};
