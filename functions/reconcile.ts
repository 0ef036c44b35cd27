import { reconcileTick } from "../mirror/reconcile.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { mirrorParts, owner } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** Sends again what is due or was lost. */
export const handler = async (): Promise<void> => {
  const labels = await reconcileTick(parts, owner);
  console.log(JSON.stringify({ message: "reconciled", labels }));
};
