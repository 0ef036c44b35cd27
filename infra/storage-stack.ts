import { Duration, RemovalPolicy, Stack, type StackProps, Validations } from "aws-cdk-lib";
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { AnyPrincipal, Effect, PolicyStatement } from "aws-cdk-lib/aws-iam";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  CfnBucketPolicy,
  ObjectOwnership,
} from "aws-cdk-lib/aws-s3";
import { CfnQueuePolicy } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { DUE_INDEX, STATE_INDEX, TABLE_KEY } from "../adapters/aws/ledger-table.ts";
import { addBundleStorage } from "./bundle-storage.ts";
import type { Configuration } from "./configuration.ts";
import { Names } from "./names.ts";
import { addNotifiedQueue } from "./notified-queue.ts";

/** accept-request's time-out is 60 s; SQS asks for six times that. */
const INBOX_VISIBILITY = Duration.minutes(6);
/**
 * What was overwritten or deleted is kept so long, for recovery: superseded lists and heads, and what a collection or a
 * scrub took out (docs/recovery.md).
 */
const NONCURRENT_DAYS = 90;
/** A scrub's findings are of use until the scrubs after it. */
const SCRUB_DAYS = 90;
/** The longest that DynamoDB offers (Amazon DynamoDB, PointInTimeRecoverySpecification). */
const RECOVERY_DAYS = 35;
/** A presigned link's age in ms, above which S3 refuses it: twice what the links that we sign live (mirror/serve.ts). */
const OLDEST_LINK = 600_000;
/** `RetainExceptOnCreate`: kept for good, but not by a creation that is rolled back (AWS CloudFormation, DeletionPolicy). */
const KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

/**
 * What outlives every deployment: tree, vault, ledger, and the queue of requests handed in. Retained, encrypted,
 * versioned, with point-in-time recovery; deleting the stack deletes none of it, nor what guards it (policies, the
 * dead-letter queue). A first deployment that fails takes back what it made, so that the next can begin anew.
 */
export class StorageStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & { readonly configuration: Configuration }) {
    super(scope, id, props);
    const names = new Names(props.configuration, this);
    const tree = this.#bucket("Tree", names.treeBucket);
    guardTree(tree, props.configuration.endpoint.s3VpcEndpointIds);
    const vault = this.#bucket("Vault", names.vaultBucket);
    vault.addLifecycleRule({
      id: "scrub-findings",
      prefix: "scrub/",
      expiration: Duration.days(SCRUB_DAYS),
    });
    const inbox = addNotifiedQueue(this, "Inbox", vault, {
      queueName: names.inboxQueue,
      visibility: INBOX_VISIBILITY,
      bucketArn: names.bucketArn(names.vaultBucket),
      keys: [{ prefix: "inbox/requests/" }],
    });
    const bundles = addBundleStorage(this, names, props.configuration);
    // Last: nothing can take back a table that is protected from deletion.
    this.#ledger(names).node.addDependency(tree, vault, inbox, ...bundles);
    retainPolicies(this);
  }

  #bucket(id: string, bucketName: string): Bucket {
    const bucket = new Bucket(this, id, {
      bucketName,
      versioned: true,
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      removalPolicy: KEEP,
      lifecycleRules: [
        {
          id: "superseded",
          noncurrentVersionExpiration: Duration.days(NONCURRENT_DAYS),
          // Else each file that was ever collected leaves one for good, and every listing passes over them.
          expiredObjectDeleteMarker: true,
          abortIncompleteMultipartUploadAfter: Duration.days(1),
        },
      ],
    });
    Validations.of(bucket).acknowledge({
      id: "AwsSolutions-S1",
      reason:
        "Object access is recorded by the account's own CloudTrail data events; access logs would need a bucket more.",
    });
    return bucket;
  }

  #ledger(names: Names): Table {
    const table = new Table(this, "Ledger", {
      tableName: names.table,
      partitionKey: { name: TABLE_KEY.partition, type: AttributeType.STRING },
      sortKey: { name: TABLE_KEY.sort, type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: {
        pointInTimeRecoveryEnabled: true,
        recoveryPeriodInDays: RECOVERY_DAYS,
      },
      deletionProtection: true,
      removalPolicy: KEEP,
    });
    table.addGlobalSecondaryIndex({
      indexName: DUE_INDEX.name,
      partitionKey: { name: DUE_INDEX.partition, type: AttributeType.STRING },
      sortKey: { name: DUE_INDEX.sort, type: AttributeType.NUMBER },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    table.addGlobalSecondaryIndex({
      indexName: STATE_INDEX.name,
      partitionKey: { name: STATE_INDEX.partition, type: AttributeType.STRING },
      sortKey: { name: STATE_INDEX.sort, type: AttributeType.NUMBER },
      projectionType: ProjectionType.KEYS_ONLY,
    });
    return table;
  }
}

/**
 * What the tree's own policy refuses, whatever a role allows (Amazon S3, Enforce conditional writes; Signature Version 4
 * policy keys): a write that could overwrite, and a presigned read that is too old or comes by another endpoint than the
 * named ones. Functions sign in a header, so no denial of presigned reads is about them.
 */
function guardTree(tree: Bucket, s3VpcEndpointIds: readonly string[]): void {
  const deny = (sid: string, action: string, conditions: Record<string, Record<string, unknown>>) => {
    const principals = [new AnyPrincipal()];
    const resources = [tree.arnForObjects("*")];
    const effect = Effect.DENY;
    tree.addToResourcePolicy(
      new PolicyStatement({ sid, effect, principals, actions: [action], resources, conditions }),
    );
  };
  const presigned = { "s3:authType": "REST-QUERY-STRING" };
  deny("OnlyConditionalWrites", "s3:PutObject", {
    Null: { "s3:if-none-match": "true", "s3:if-match": "true" },
  });
  deny("NoOldLinks", "s3:GetObject", {
    StringEquals: presigned,
    NumericGreaterThan: { "s3:signatureAge": String(OLDEST_LINK) },
  });
  if (s3VpcEndpointIds.length > 0) {
    deny("LinksByNamedEndpoints", "s3:GetObject", {
      StringEquals: presigned,
      StringNotEquals: { "aws:SourceVpce": [...s3VpcEndpointIds] },
    });
  }
}

/** Buckets and queues that outlive the stack keep their policies: TLS only, and who may send. */
function retainPolicies(stack: Stack): void {
  for (const child of stack.node.findAll()) {
    if (child instanceof CfnBucketPolicy || child instanceof CfnQueuePolicy) child.applyRemovalPolicy(KEEP);
  }
}
