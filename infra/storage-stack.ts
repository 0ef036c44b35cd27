import { Duration, RemovalPolicy, Stack, type StackProps, Validations } from "aws-cdk-lib";
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type CfnBucket,
  ObjectOwnership,
} from "aws-cdk-lib/aws-s3";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { DUE_INDEX, TABLE_KEY } from "../adapters/aws/ledger-table.ts";
import type { Configuration } from "./configuration.ts";
import { Names } from "./names.ts";

/** accept-request's time-out is 60 s; SQS asks for six times that. */
const INBOX_VISIBILITY = Duration.minutes(6);
/** Superseded versions of moving objects (lists, heads) are kept so long, for recovery. */
const NONCURRENT_DAYS = 90;

/**
 * What outlives every deployment: tree, vault, ledger, and the queue of requests handed in. Retained, encrypted,
 * versioned, with point-in-time recovery; deleting the stack deletes none of it.
 */
export class StorageStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps & { readonly configuration: Configuration }) {
    super(scope, id, props);
    const names = new Names(props.configuration, this);
    this.#bucket("Tree", names.treeBucket);
    const vault = this.#bucket("Vault", names.vaultBucket);
    const inbox = this.#inbox(names);
    this.#notify(vault, names, inbox);
    this.#ledger(names);
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
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        {
          id: "superseded",
          noncurrentVersionExpiration: Duration.days(NONCURRENT_DAYS),
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

  #inbox(names: Names): Queue {
    const dead = new Queue(this, "InboxDead", {
      queueName: `${names.inboxQueue}-dead`,
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    return new Queue(this, "Inbox", {
      queueName: names.inboxQueue,
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      visibilityTimeout: INBOX_VISIBILITY,
      retentionPeriod: Duration.days(14),
      removalPolicy: RemovalPolicy.RETAIN,
      deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
    });
  }

  /** By the L1 property: `addEventNotification` would add a custom resource (facts: emulators). */
  #notify(vault: Bucket, names: Names, inbox: Queue): void {
    inbox.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal("s3.amazonaws.com")],
        actions: ["sqs:SendMessage"],
        resources: [inbox.queueArn],
        conditions: {
          ArnEquals: { "aws:SourceArn": names.bucketArn(names.vaultBucket) },
          StringEquals: { "aws:SourceAccount": this.account },
        },
      }),
    );
    const bucket = vault.node.defaultChild as CfnBucket;
    bucket.notificationConfiguration = {
      queueConfigurations: [
        {
          event: "s3:ObjectCreated:*",
          queue: inbox.queueArn,
          filter: { s3Key: { rules: [{ name: "prefix", value: "inbox/requests/" }] } },
        },
      ],
    };
    // S3 checks that it may send before it takes the configuration.
    const policy = inbox.node.tryFindChild("Policy");
    if (policy !== undefined) bucket.node.addDependency(policy);
  }

  #ledger(names: Names): void {
    const table = new Table(this, "Ledger", {
      tableName: names.table,
      partitionKey: { name: TABLE_KEY.partition, type: AttributeType.STRING },
      sortKey: { name: TABLE_KEY.sort, type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      encryption: TableEncryption.AWS_MANAGED,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    table.addGlobalSecondaryIndex({
      indexName: DUE_INDEX.name,
      partitionKey: { name: DUE_INDEX.partition, type: AttributeType.STRING },
      sortKey: { name: DUE_INDEX.sort, type: AttributeType.NUMBER },
      projectionType: ProjectionType.KEYS_ONLY,
    });
  }
}
