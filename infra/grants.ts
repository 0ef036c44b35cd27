import { DUE_INDEX } from "../adapters/aws/ledger-table.ts";
import type { MirrorFunction } from "./mirror-function.ts";

/** Reads what clients may read. ListBucket makes a missing key a 404 instead of a 403. */
export function grantReadTree(to: MirrorFunction): void {
  const bucket = to.names.bucketArn(to.names.treeBucket);
  to.grant(["s3:GetObject"], [`${bucket}/*`]);
  to.grant(["s3:ListBucket"], [bucket]);
}

/** Adds to the tree; nothing deletes from it. */
export function grantWriteTree(to: MirrorFunction): void {
  grantReadTree(to);
  to.grant(["s3:PutObject"], [`${to.names.bucketArn(to.names.treeBucket)}/*`]);
}

/** Requests, closures and evidence. */
export function grantVault(to: MirrorFunction, write: readonly string[]): void {
  const bucket = to.names.bucketArn(to.names.vaultBucket);
  to.grant(["s3:GetObject"], [`${bucket}/inbox/*`, `${bucket}/requests/*`]);
  to.grant(["s3:ListBucket"], [bucket]);
  if (write.length > 0) {
    to.grant(
      ["s3:PutObject"],
      write.map((prefix) => `${bucket}/${prefix}/*`),
    );
  }
}

export function grantReadLedger(to: MirrorFunction): void {
  to.grant(["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"], [tableArn(to)]);
}

export function grantWriteLedger(to: MirrorFunction): void {
  grantReadLedger(to);
  to.grant(["dynamodb:PutItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"], [tableArn(to)]);
}

/** Which records are due. */
export function grantDueIndex(to: MirrorFunction): void {
  to.grant(["dynamodb:Query"], [`${tableArn(to)}/index/${DUE_INDEX.name}`]);
}

function tableArn(to: MirrorFunction): string {
  return to.names.arn("dynamodb", `table/${to.names.table}`);
}
