/** Run by test/contract/run-localstack.ts, which installs LocalStack and names its Python. */
import { afterAll } from "vitest";
import { newQueue, newTree, newVault } from "./aws-stores.ts";
import { type LocalStack, startLocalStack } from "./localstack.ts";
import { queueContract } from "./queue-contract.ts";
import { s3Contract } from "./s3-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";

let running: Promise<LocalStack> | undefined;
const settings = async () => {
  running ??= startLocalStack(process.env.MODFERRY_LOCALSTACK_PYTHON ?? "");
  return (await running).settings;
};
afterAll(async () => (await running?.catch(() => undefined))?.stop());

// It answers a DELETE with a condition by 501.
treeContract("S3Tree", async () => newTree(await settings()), { atomicRemove: false });
vaultContract("S3Vault", async () => newVault(await settings()));
s3Contract("S3Tree", settings, { checksAnonymous: false });
queueContract("SqsQueue", async () => newQueue(await settings()));
