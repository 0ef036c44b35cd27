import { afterAll, describe } from "vitest";
import { goProgram, VERSITYGW } from "../peers/go-program.ts";
import { newTree, newVault } from "./aws-stores.ts";
import { s3Contract } from "./s3-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";
import { type S3Server, startVersitygw } from "./versitygw.ts";

/** Built once for a checkout: about 90 s of two idle cores. */
const missing = await goProgram(VERSITYGW).then(
  () => undefined,
  (error: Error) => error.message,
);

/** Without go or a network they say so and count as skipped; with CI=true that is a failure, as for every oracle. */
function describeWithVersitygw(name: string, body: () => void): void {
  if (missing === undefined) {
    describe(name, body);
    return;
  }
  if (process.env.CI === "true") throw new Error(`${name}: ${missing}`);
  console.log(`skipped: ${name}: ${missing}`);
  describe.skip(`${name} (no versitygw)`, body);
}

describeWithVersitygw("S3 adapters over versitygw, a second opinion on S3", () => {
  let running: Promise<S3Server> | undefined;
  const settings = async () => {
    running ??= startVersitygw();
    return (await running).settings;
  };
  afterAll(async () => (await running?.catch(() => undefined))?.stop());
  // Its DELETE looks at the ETag before it takes the lock under which writes look at it (v1.8.0, DeleteObject).
  treeContract("S3Tree", async () => newTree(await settings()), { atomicRemove: false });
  vaultContract("S3Vault", async () => newVault(await settings()));
  s3Contract("S3Tree", settings);
});
