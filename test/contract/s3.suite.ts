/**
 * `npm run test:s3`: the S3 part of the contract suite over the S3 at AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3), with the
 * SDK's own chain of credentials and AWS_REGION. It makes buckets `modferry-tree-…` and `modferry-vault-…` and removes
 * them; a run that is killed leaves them. With no endpoint named it runs over versitygw.
 */
import { afterAll } from "vitest";
import type { AwsSettings } from "../../adapters/aws/clients.ts";
import { newTree, newVault } from "./aws-stores.ts";
import { s3Contract } from "./s3-contract.ts";
import { treeContract } from "./tree-contract.ts";
import { vaultContract } from "./vault-contract.ts";
import { type S3Server, startVersitygw } from "./versitygw.ts";

const given = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL;
let running: Promise<S3Server> | undefined;

async function settings(): Promise<AwsSettings> {
  if (given) return { region: process.env.AWS_REGION || "us-east-1", endpointUrl: given };
  running ??= startVersitygw();
  return (await running).settings;
}
afterAll(async () => (await running?.catch(() => undefined))?.stop());

console.log(`S3 at ${given ?? "versitygw, since AWS_ENDPOINT_URL names none"}`);
// Of versitygw it is known (versitygw.test.ts); of any other S3 it is to be found out.
treeContract("S3Tree", async () => newTree(await settings()), { atomicRemove: Boolean(given) });
vaultContract("S3Vault", async () => newVault(await settings()));
s3Contract("S3Tree", settings);
