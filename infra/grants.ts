import { DUE_INDEX, STATE_INDEX } from "../adapters/aws/ledger-table.ts";
import type { MirrorFunction } from "./mirror-function.ts";

/** Key patterns of one bucket, as IAM has them: `*` matches slashes too. */
export interface BucketGrant {
  readonly read: readonly string[];
  readonly write?: readonly string[];
  /** What a block, garbage collection or a scrub takes out; nothing else is ever deleted. */
  readonly remove?: readonly string[];
}

/** Adds to the tree, reads it, or takes out of it. */
export function grantTree(to: MirrorFunction, keys: BucketGrant): void {
  grantBucket(to, to.names.bucketArn(to.names.treeBucket), keys);
}

/** Requests, closures and evidence. */
export function grantVault(to: MirrorFunction, keys: BucketGrant): void {
  grantBucket(to, to.names.bucketArn(to.names.vaultBucket), keys);
}

/** Bundles that come in, and what is said of them. */
export function grantBundles(to: MirrorFunction, keys: BucketGrant): void {
  grantBucket(to, to.names.bucketArn(to.names.bundleBucket), keys);
}

/** ListBucket makes a missing key a 404 instead of a 403. */
function grantBucket(
  to: MirrorFunction,
  bucket: string,
  { read, write = [], remove = [] }: BucketGrant,
): void {
  const below = (keys: readonly string[]) => keys.map((key) => `${bucket}/${key}`);
  if (read.length > 0) {
    to.grant(["s3:GetObject"], below(read));
    to.grant(["s3:ListBucket"], [bucket]);
  }
  if (write.length > 0) to.grant(["s3:PutObject"], below(write));
  if (remove.length > 0) to.grant(["s3:DeleteObject"], below(remove));
}

/** What a function does with the table; a transaction needs what it consists of: PutItem, and UpdateItem for counters. */
export type LedgerAction =
  | "GetItem"
  | "BatchGetItem"
  | "Query"
  | "Scan"
  | "PutItem"
  | "UpdateItem"
  | "DeleteItem"
  | "BatchWriteItem";

export function grantLedger(to: MirrorFunction, actions: readonly LedgerAction[]): void {
  to.grant(
    actions.map((action) => `dynamodb:${action}`),
    [tableArn(to)],
  );
}

/** Which records are due. */
export function grantDueIndex(to: MirrorFunction): void {
  to.grant(["dynamodb:Query"], [`${tableArn(to)}/index/${DUE_INDEX.name}`]);
}

/** Which records are in a state, and how many. */
export function grantStateIndex(to: MirrorFunction): void {
  to.grant(["dynamodb:Query"], [`${tableArn(to)}/index/${STATE_INDEX.name}`]);
}

function tableArn(to: MirrorFunction): string {
  return to.names.arn("dynamodb", `table/${to.names.table}`);
}

/**
 * Reads these secrets, by name. After a secret's name Secrets Manager puts a hyphen and six characters of its own into
 * the ARN (User Guide, Secret ARNs); a secret with a key of the customer's needs that key's policy besides.
 */
export function grantSecrets(to: MirrorFunction, names: readonly string[]): void {
  if (names.length === 0) return;
  const arns = [...new Set(names)].map((name) => to.names.secretArn(name));
  to.grant(["secretsmanager:GetSecretValue"], arns);
}
