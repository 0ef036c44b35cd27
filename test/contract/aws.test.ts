import { afterAll } from "vitest";
import { newLedger, newQueue, newTree, newVault } from "./aws-stores.ts";
import { ledgerContract } from "./ledger-contract.ts";
import { describeWithEmulator, emulatedAws, stopEmulator } from "./ministack.ts";
import { queueContract } from "./queue-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";

describeWithEmulator("AWS adapters", () => {
  afterAll(stopEmulator);
  treeContract("S3Tree", async () => newTree(await emulatedAws()));
  vaultContract("S3Vault", async () => newVault(await emulatedAws()));
  ledgerContract("DynamoDbLedger", async () => newLedger(await emulatedAws()));
  queueContract("SqsQueue", async () => newQueue(await emulatedAws()));
});
