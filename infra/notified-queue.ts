import { Duration, RemovalPolicy, type Stack } from "aws-cdk-lib";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Bucket, CfnBucket } from "aws-cdk-lib/aws-s3";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";

/** The longest that SQS keeps a message. */
const RETENTION = Duration.days(14);
/** Of a message, before it goes to the dead letters. */
const MOST_RECEIVED = 5;
const KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;

interface NotifiedQueueProps {
  readonly queueName: string;
  /** Above the time-out of the function that works on it. */
  readonly visibility: Duration;
  /** Its ARN by its name: S3's own would make queue and bucket depend on each other. */
  readonly bucketArn: string;
  /** Created objects that are told of, by how their keys begin and end. */
  readonly keys: readonly { readonly prefix: string; readonly suffix?: string }[];
}

/** A retained queue with dead letters (`NAME-dead`), which a bucket tells of objects that come into it. */
export function addNotifiedQueue(stack: Stack, id: string, bucket: Bucket, props: NotifiedQueueProps): Queue {
  const common = {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: RETENTION,
    removalPolicy: KEEP,
  };
  const dead = new Queue(stack, `${id}Dead`, { ...common, queueName: `${props.queueName}-dead` });
  const queue = new Queue(stack, id, {
    ...common,
    queueName: props.queueName,
    visibilityTimeout: props.visibility,
    deadLetterQueue: { queue: dead, maxReceiveCount: MOST_RECEIVED },
  });
  notify(stack, bucket, queue, props);
  return queue;
}

/** By the L1 property: `addEventNotification` would add a custom resource (facts: emulators). */
function notify(stack: Stack, bucket: Bucket, queue: Queue, { bucketArn, keys }: NotifiedQueueProps): void {
  queue.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal("s3.amazonaws.com")],
      actions: ["sqs:SendMessage"],
      resources: [queue.queueArn],
      conditions: {
        ArnEquals: { "aws:SourceArn": bucketArn },
        StringEquals: { "aws:SourceAccount": stack.account },
      },
    }),
  );
  const made = bucket.node.defaultChild as CfnBucket;
  made.notificationConfiguration = {
    queueConfigurations: keys.map(({ prefix, suffix }) => ({
      event: "s3:ObjectCreated:*",
      queue: queue.queueArn,
      filter: {
        s3Key: {
          rules: [
            { name: "prefix", value: prefix },
            ...(suffix === undefined ? [] : [{ name: "suffix", value: suffix }]),
          ],
        },
      },
    })),
  };
  // S3 checks that it may send before it takes the configuration.
  const policy = queue.node.tryFindChild("Policy");
  if (policy !== undefined) made.node.addDependency(policy);
}
