import { reconcile } from "../mirror/reconcile.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { mirrorParts } from "./parts.ts";

const parts = mirrorParts(readFunctionEnvironment(process.env));

/** Sends again what is due or was lost. */
export const handler = async (): Promise<void> => {
  const { orders } = await reconcile(parts, { onlyWriter: false });
  console.log(JSON.stringify({ message: "reconciled", labels: { orders } }));
};
