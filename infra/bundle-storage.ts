import { Duration, RemovalPolicy, type Stack, Validations } from "aws-cdk-lib";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from "aws-cdk-lib/aws-s3";
import type { Construct } from "constructs";
import { INBOX_PREFIX } from "../adapters/aws/bundle-inbox.ts";
import { BUNDLE_JSON, BUNDLE_NOTE, BUNDLE_README } from "../mirror/bundle/bundle-json.ts";
import type { Configuration } from "./configuration.ts";
import type { Names } from "./names.ts";
import { addNotifiedQueue } from "./notified-queue.ts";

/** Above the import's time-out of 300 s, by as much as a lease of it lasts longer: a call that is killed is followed soon. */
const VISIBILITY = Duration.minutes(6);
/** A bundle that nobody has fetched, or whose other volumes never came. */
const KEPT_DAYS = 30;
const KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

/** Objects that wake the import, by how their keys end: each file that a bundle must have; volumes come in any order. */
const WAKING = [".tar", BUNDLE_NOTE, BUNDLE_JSON, BUNDLE_README];

/**
 * The bucket of bundles, and the queue that tells of those that come in; nothing where the configuration has none. Not
 * versioned: what lies there is on its way, and large.
 * @returns what is to be there before the table.
 */
export function addBundleStorage(
  stack: Stack,
  names: Names,
  { bundles }: Pick<Configuration, "bundles">,
): readonly Construct[] {
  if (bundles?.inbox !== true) return [];
  const bucket = addBucket(stack, names.bundleBucket);
  const queue = addNotifiedQueue(stack, "BundlesInbox", bucket, {
    queueName: names.bundleQueue,
    visibility: VISIBILITY,
    bucketArn: names.bucketArn(names.bundleBucket),
    keys: WAKING.map((suffix) => ({ prefix: INBOX_PREFIX, suffix })),
  });
  return [bucket, queue];
}

function addBucket(stack: Stack, bucketName: string): Bucket {
  const bucket = new Bucket(stack, "Bundles", {
    bucketName,
    encryption: BucketEncryption.S3_MANAGED,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    removalPolicy: KEEP,
    lifecycleRules: [
      {
        id: "fetched",
        expiration: Duration.days(KEPT_DAYS),
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
