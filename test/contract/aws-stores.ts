import { randomBytes } from "node:crypto";
import { CreateTableCommand, type DynamoDBClient, ScanCommand } from "@aws-sdk/client-dynamodb";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from "@aws-sdk/client-sqs";
import { type AwsSettings, dynamoDbClient, s3Client, sqsClient } from "../../adapters/aws/clients.ts";
import { DynamoDbLedger } from "../../adapters/aws/dynamodb-ledger.ts";
import { parseJournalEntry } from "../../adapters/aws/ledger-items.ts";
import { DUE_INDEX, STATE_INDEX, TABLE_KEY } from "../../adapters/aws/ledger-table.ts";
import { S3Tree } from "../../adapters/aws/s3-tree.ts";
import { S3Vault } from "../../adapters/aws/s3-vault.ts";
import { SqsQueue } from "../../adapters/aws/sqs-queue.ts";
import type { JournalEntry } from "../../mirror/ledger-entries.ts";
import { parseOrder, type QueueName } from "../../mirror/orders.ts";
import { makeBucket, removeBucket } from "./s3-buckets.ts";

const newName = (kind: string) => `modferry-${kind}-${randomBytes(6).toString("hex")}`;

/** An empty bucket as a tree, with two handles on it that share no connection. */
export async function newTree(settings: AwsSettings) {
  const bucket = await makeBucket(settings, "tree");
  const handle = () => new S3Tree({ client: s3Client(settings), bucket });
  const dispose = () => removeBucket(settings, bucket);
  return { bucket, tree: handle(), other: handle(), dispose };
}

export async function newVault(settings: AwsSettings) {
  const bucket = await makeBucket(settings, "vault");
  const handle = () => new S3Vault({ client: s3Client(settings), bucket });
  const dispose = () => removeBucket(settings, bucket);
  return { bucket, vault: handle(), other: handle(), dispose };
}

/** An empty table, as infra/ makes it. */
export async function newLedger(settings: AwsSettings) {
  const table = newName("ledger");
  const client = dynamoDbClient(settings);
  const keys = (partition: string, sort: string) => [
    { AttributeName: partition, KeyType: "HASH" as const },
    { AttributeName: sort, KeyType: "RANGE" as const },
  ];
  await client.send(
    new CreateTableCommand({
      TableName: table,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: keys(TABLE_KEY.partition, TABLE_KEY.sort),
      AttributeDefinitions: [
        { AttributeName: TABLE_KEY.partition, AttributeType: "S" },
        { AttributeName: TABLE_KEY.sort, AttributeType: "S" },
        { AttributeName: DUE_INDEX.partition, AttributeType: "S" },
        { AttributeName: DUE_INDEX.sort, AttributeType: "N" },
        { AttributeName: STATE_INDEX.partition, AttributeType: "S" },
        { AttributeName: STATE_INDEX.sort, AttributeType: "N" },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: DUE_INDEX.name,
          KeySchema: keys(DUE_INDEX.partition, DUE_INDEX.sort),
          Projection: { ProjectionType: DUE_INDEX.projection },
        },
        {
          IndexName: STATE_INDEX.name,
          KeySchema: keys(STATE_INDEX.partition, STATE_INDEX.sort),
          Projection: { ProjectionType: STATE_INDEX.projection },
        },
      ],
    }),
  );
  const handle = () => new DynamoDbLedger({ client: dynamoDbClient(settings), table });
  return { table, client, ledger: handle(), other: handle(), journal: () => journalOf(client, table) };
}

async function journalOf(client: DynamoDBClient, table: string): Promise<JournalEntry[]> {
  const { Items = [] } = await client.send(
    new ScanCommand({
      TableName: table,
      FilterExpression: `begins_with(${TABLE_KEY.partition}, :journal)`,
      ExpressionAttributeValues: { ":journal": { S: "journal#" } },
    }),
  );
  return Items.map(parseJournalEntry);
}

/** Two empty queues. */
export async function newQueue(settings: AwsSettings) {
  const client = sqsClient(settings);
  const make = async (queue: QueueName) => {
    const { QueueUrl = "" } = await client.send(new CreateQueueCommand({ QueueName: newName(queue) }));
    return QueueUrl;
  };
  const urls = { fresh: await make("fresh"), backfill: await make("backfill") };
  const receive = async () => [
    ...(await drain(client, urls.fresh)).map((body) => ({
      queue: "fresh" as const,
      order: parseOrder(body),
    })),
    ...(await drain(client, urls.backfill)).map((body) => ({
      queue: "backfill" as const,
      order: parseOrder(body),
    })),
  ];
  return { urls, queue: new SqsQueue({ client, urls }), receive };
}

async function drain(client: SQSClient, url: string): Promise<string[]> {
  const bodies: string[] = [];
  for (;;) {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({ QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
    );
    if (Messages.length === 0) return bodies;
    for (const { Body = "", ReceiptHandle } of Messages) {
      bodies.push(Body);
      await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
    }
  }
}
