import { DescribeTableCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { GetQueueUrlCommand, type SQSClient } from "@aws-sdk/client-sqs";
import { MirrorError, misuse } from "../../mirror/errors.ts";
import type { Order, QueueName } from "../../mirror/orders.ts";
import type { Queue } from "../../mirror/ports.ts";
import type { ChecksumJobs } from "../../mirror/scrub/checksum-jobs.ts";
import type { Egress } from "../egress/egress.ts";
import { BatchJobs } from "./batch-jobs.ts";
import { type AwsSettings, dynamoDbClient, type RequestLimits, s3Client, sqsClient } from "./clients.ts";
import { DynamoDbLedger } from "./dynamodb-ledger.ts";
import { fromSdk, sdkError, translated } from "./errors.ts";
import { TABLE_KEY } from "./ledger-table.ts";
import { batchRoleName, physicalNames, tableName, workQueueName } from "./physical-names.ts";
import { S3Tree } from "./s3-tree.ts";
import { S3Vault } from "./s3-vault.ts";
import { secretReader } from "./secrets.ts";
import { SqsQueue } from "./sqs-queue.ts";

/** Where a deployed mirror is. */
export interface DeployedAddress {
  /** As it was given, for messages: `aws:NAME@REGION`. */
  readonly text: string;
  /** The configuration's name. */
  readonly name: string;
  /** Left out: the environment's or the profile's. */
  readonly region?: string;
  /** Emulators, or private endpoints; left out: AWS itself. */
  readonly endpoints: Readonly<
    Partial<Record<"s3" | "s3control" | "dynamodb" | "sqs" | "secretsmanager", string>>
  >;
  readonly egress: Egress;
}

/** The parts of a deployed mirror, as its functions have them. */
export interface DeployedMirror {
  readonly tree: S3Tree;
  readonly vault: S3Vault;
  readonly ledger: DynamoDbLedger;
  readonly queue: Queue;
  /** Of S3, which hashes the tree's files where they lie. */
  readonly checksumJobs: ChecksumJobs;
  /** Reads a secret of the mirror's account and region by its name, such as an upstream's token. */
  secret(name: string): Promise<string>;
  close(): void;
}

/** A desk's line is slower than a function's: half an hour for one zip. */
const DESK_LIMITS: RequestLimits = { attempts: 3, connection: 10_000, request: 1_800_000 };

const RIGHTS = "docs/deploy.md, Operating a deployed mirror, has the rights";

/**
 * Opens the stores of a deployed mirror with the SDK's own credentials (environment, profile, role). All names follow
 * from the mirror's, the account and the region (physical-names.ts); the account is read off the ARN of the table. That
 * one call, dynamodb:DescribeTable, also tells a wrong name, region or account before anything is done.
 * @throws MirrorError misuse where there is no such mirror, unauthorized without credentials or rights.
 */
export async function openDeployedMirror(address: DeployedAddress): Promise<DeployedMirror> {
  const { text, name, endpoints, egress } = address;
  const region = address.region ?? (await profileRegion(text));
  const settings = (service: keyof typeof endpoints): AwsSettings => {
    const endpointUrl = endpoints[service];
    return { region, egress, ...(endpointUrl === undefined ? {} : { endpointUrl }) };
  };
  const dynamodb = dynamoDbClient(settings("dynamodb"));
  const { account, partition } = await accountOf(dynamodb, { text, name, region }).catch((error: unknown) => {
    dynamodb.destroy();
    throw error;
  });
  const names = physicalNames(name, account, region);
  const s3 = s3Client(settings("s3"), DESK_LIMITS);
  const sqs = sqsClient(settings("sqs"));
  return {
    tree: new S3Tree({ client: s3, bucket: names.treeBucket }),
    vault: new S3Vault({ client: s3, bucket: names.vaultBucket }),
    ledger: new DynamoDbLedger({ client: dynamodb, table: names.table }),
    queue: new NamedQueue(sqs, name),
    checksumJobs: new BatchJobs({
      client: s3,
      region,
      roleArn: `arn:${partition}:iam::${account}:role/${batchRoleName(name, region)}`,
      treeBucket: names.treeBucket,
      vaultBucket: names.vaultBucket,
      ...(endpoints.s3control && { endpointUrl: endpoints.s3control }),
    }),
    secret: secretReader(settings("secretsmanager")),
    close: () => {
      for (const client of [dynamodb, s3, sqs]) client.destroy();
    },
  };
}

/** Of the profile that AWS_PROFILE names (~/.aws/config), as the SDK finds it. */
async function profileRegion(text: string): Promise<string> {
  const client = new DynamoDBClient({});
  try {
    return await client.config.region();
  } catch (cause) {
    throw misuse("--mirror", `${text}: in which region? Say aws:NAME@REGION, or set AWS_REGION`, cause);
  } finally {
    client.destroy();
  }
}

interface Named {
  readonly text: string;
  readonly name: string;
  readonly region: string;
}

async function accountOf(
  client: DynamoDBClient,
  { text, name, region }: Named,
): Promise<{ readonly account: string; readonly partition: string }> {
  const table = tableName(name);
  try {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: table }));
    const keys = Table?.KeySchema?.map(({ AttributeName }) => AttributeName) ?? [];
    const [, partition, account] = /^arn:([^:]*):dynamodb:[^:]*:(\d{12}):/.exec(Table?.TableArn ?? "") ?? [];
    const isLedger = keys.join() === [TABLE_KEY.partition, TABLE_KEY.sort].join();
    if (account !== undefined && partition !== undefined && isLedger) return { account, partition };
  } catch (thrown) {
    throw notFound(thrown, table, { text, name, region });
  }
  throw misuse("--mirror", `${text}: the table ${table} in ${region} is no mirror's ledger; check the name`);
}

function notFound(thrown: unknown, table: string, { text, region }: Named): MirrorError {
  const error = fromSdk(thrown, `table ${table} in ${region}`, text);
  if (error.class === "misuse") {
    const remedy =
      "check the name (as the configuration has it), the region, and whose account the credentials are for; " +
      "a table that is lost is made again by deploying the storage stack";
    return misuse("--mirror", `${text}: no table ${table} in ${region}; ${remedy}`, thrown);
  }
  const { name, status } = sdkError(thrown);
  const way = "; check the region, and the way to AWS from here (AWS_ENDPOINT_URL, HTTPS_PROXY)";
  const isUnreached = status === undefined && error.class === "transient";
  const remedy = /^AccessDenied/.test(name) ? `; ${RIGHTS}` : isUnreached ? way : "";
  return new MirrorError(error.class, text, `${error.message}${remedy}`, { cause: thrown });
}

/** Queues whose addresses are asked for when the first order is sent: most verbs send none, and need no rights for it. */
class NamedQueue implements Queue {
  readonly #client: SQSClient;
  readonly #name: string;
  #queue: Promise<SqsQueue> | undefined;

  constructor(client: SQSClient, name: string) {
    this.#client = client;
    this.#name = name;
  }

  async send(queue: QueueName, orders: readonly Order[]): Promise<void> {
    this.#queue ??= this.#open();
    await (await this.#queue).send(queue, orders);
  }

  async #open(): Promise<SqsQueue> {
    const [fresh, backfill] = await Promise.all([this.#url("fresh"), this.#url("backfill")]);
    return new SqsQueue({ client: this.#client, urls: { fresh, backfill } });
  }

  async #url(queue: QueueName): Promise<string> {
    const QueueName = workQueueName(this.#name, queue);
    const ask = () => this.#client.send(new GetQueueUrlCommand({ QueueName }));
    const { QueueUrl } = await translated(`queue ${QueueName}`, "orders", ask);
    if (QueueUrl !== undefined) return QueueUrl;
    throw misuse(QueueName, `queue ${QueueName}: has no address; deploy the pipeline stack again`);
  }
}
