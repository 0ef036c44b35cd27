import { hash } from "node:crypto";
import { expect, test } from "vitest";
import { type Item, toItem } from "../../adapters/aws/attribute-values.ts";
import { dynamoDbClient, sqsClient } from "../../adapters/aws/clients.ts";
import { DynamoDbLedger } from "../../adapters/aws/dynamodb-ledger.ts";
import { versionKey } from "../../adapters/aws/ledger-table.ts";
import { printRecord } from "../../adapters/aws/record-item.ts";
import { batches, SqsQueue } from "../../adapters/aws/sqs-queue.ts";
import { type ModuleVersion, moduleVersion } from "../../gomod/version.ts";
import type { JournalEntry } from "../../mirror/ledger-entries.ts";
import { freshRecord } from "../contract/ledger-records.ts";
import { rejectionOf } from "../contract/rejection.ts";
import { type FaultyAws, faultyAws, json } from "./loopback-server.ts";

const ledgerOn = (aws: FaultyAws) =>
  new DynamoDbLedger({ client: dynamoDbClient(aws.settings), table: "ledger" });
const versions = (count: number) =>
  Array.from({ length: count }, (_, n) => moduleVersion("example.com/a", `v1.${n}.0`));
const version = moduleVersion("example.com/a", "v1.0.0");
const held: JournalEntry = { event: "held", version, at: 1_790_000_000_000 };
const printKey = (module: ModuleVersion) => toItem({ ...versionKey(module) });
const stored = (module: ModuleVersion) => printRecord({ ...freshRecord(module), revision: 1 });

test.each([
  ["ResourceNotFoundException", "misuse", 400],
  ["AccessDeniedException", "unauthorized", 400],
  ["UnrecognizedClientException", "unauthorized", 400],
  ["ProvisionedThroughputExceededException", "transient", 400],
  ["InternalServerError", "transient", 500],
])("DynamoDB's %s is %s, and the message names the table", async (code, expected, status) => {
  await using aws = await faultyAws((_request, reply) =>
    json(reply, status, { __type: `com.amazonaws.dynamodb.v20120810#${code}`, message: "told by\nthe test" }),
  );
  const error = await rejectionOf(ledgerOn(aws).read([version]));
  expect([error.class, error.message]).toEqual([expected, expect.stringContaining("table ledger: ")]);
  expect((await rejectionOf(ledgerOn(aws).write([{ record: freshRecord(version) }]))).class).toBe(expected);
});

test("keys that DynamoDB leaves unprocessed are asked again until all are answered", async () => {
  await using aws = await faultyAws(({ body }, reply) => {
    const { Keys } = JSON.parse(body.toString()).RequestItems.ledger;
    const answered = Keys.slice(0, 40).map(({ sk }: { sk: { S: string } }) =>
      stored(moduleVersion("example.com/a", sk.S.slice(8))),
    );
    const left = Keys.slice(40);
    json(reply, 200, {
      Responses: { ledger: answered },
      UnprocessedKeys: left.length > 0 ? { ledger: { Keys: left, ConsistentRead: true } } : {},
    });
  });
  const asked = versions(150);
  expect((await ledgerOn(aws).read(asked)).map((record) => record?.version)).toEqual(
    asked.map((v) => v.version),
  );
  expect(aws.calls()).toBe(3 + 2);
});

test("readModule and records follow every page, an empty one too", async () => {
  const [a, b] = versions(2).map(stored) as [Item, Item];
  await using aws = await faultyAws(({ body }, reply) => {
    const from = JSON.parse(body.toString()).ExclusiveStartKey?.sk.S;
    const next = (sk: string) => ({ LastEvaluatedKey: { pk: { S: "p" }, sk: { S: sk } } });
    if (from === undefined) json(reply, 200, { Items: [a], ...next("1") });
    else json(reply, 200, from === "1" ? { Items: [], ...next("2") } : { Items: [b] });
  });
  expect((await ledgerOn(aws).readModule(version.path)).map((record) => record.version)).toEqual([
    "v1.0.0",
    "v1.1.0",
  ]);
  const all = [];
  for await (const record of ledgerOn(aws).records()) all.push(record.version);
  expect(all).toEqual(["v1.0.0", "v1.1.0"]);
});

test("due asks every shard, reads what the index names again, and gives what is still due, soonest first", async () => {
  const [a, b, c] = versions(3) as [ModuleVersion, ModuleVersion, ModuleVersion];
  const now = { [a.version]: 300, [b.version]: 100, [c.version]: undefined };
  const shards: string[] = [];
  await using aws = await faultyAws(({ body }, reply) => {
    const { RequestItems, ExpressionAttributeValues } = JSON.parse(body.toString());
    if (RequestItems === undefined) {
      const shard = ExpressionAttributeValues[":shard"].S;
      shards.push(shard);
      const named = shard === "due#2" ? [a, c] : shard === "due#7" ? [b] : [];
      const Items = named.map((module) => ({
        ...printKey(module),
        due: { N: "50" },
        dueShard: { S: shard },
      }));
      json(reply, 200, { Items });
      return;
    }
    const found = [a, c, b].map((module) => {
      const due = now[module.version];
      return printRecord({ ...freshRecord(module), revision: 1, ...(due === undefined ? {} : { due }) });
    });
    json(reply, 200, { Responses: { ledger: found } });
  });
  expect((await ledgerOn(aws).due(400, 10)).map(({ version: named }) => named)).toEqual([
    b.version,
    a.version,
  ]);
  expect(shards.sort()).toEqual(Array.from({ length: 8 }, (_, shard) => `due#${shard}`));
});

test("a batch of which nothing is ever processed ends as transient", async () => {
  await using aws = await faultyAws(({ body }, reply) => {
    const { RequestItems } = JSON.parse(body.toString());
    const reading = RequestItems.ledger.Keys !== undefined;
    json(
      reply,
      200,
      reading ? { Responses: {}, UnprocessedKeys: RequestItems } : { UnprocessedItems: RequestItems },
    );
  });
  expect((await rejectionOf(ledgerOn(aws).read([version]))).class).toBe("transient");
  expect(
    (await rejectionOf(ledgerOn(aws).openOrders({ name: "a", time: "20260101T000000000Z" }, [1]))).class,
  ).toBe("transient");
});

test("a transaction that another one held up is tried again; one whose condition failed is `changed`", async () => {
  const cancelled = (code: string) => ({
    __type: "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    message: "cancelled",
    CancellationReasons: [{ Code: code }, { Code: "None" }],
  });
  const tokens = new Set<string>();
  await using aws = await faultyAws(({ body }, reply, call) => {
    tokens.add(JSON.parse(body.toString()).ClientRequestToken);
    if (call < 2) json(reply, 400, cancelled("TransactionConflict"));
    else if (call === 2) json(reply, 200, {});
    else json(reply, 400, cancelled("ConditionalCheckFailed"));
  });
  const change = { record: freshRecord(version), journal: held };
  expect(await ledgerOn(aws).write([change])).toEqual([{ ...change.record, revision: 1 }]);
  expect([aws.calls(), tokens.size]).toEqual([3, 1]);
  expect(await ledgerOn(aws).write([change])).toEqual(["changed"]);
  expect(tokens.size).toBe(2);
});

test.each([
  ["an attribute that we do not write", { extra: { S: "x" } }],
  ["a state that we do not know", { state: { S: "MISLAID" } }],
  ["a number that is none", { wantedAt: { N: "1.5" } }],
  ["a list", { wish: { L: [] } }],
  ["no revision", { revision: undefined }],
  ["a SHA-256 in upper case", { modSha256: { S: "A".repeat(64) } }],
  ["an h1 that is none", { zipH1: { S: "h1:short" } }],
  ["a module path that is none", { pk: { S: "module#Bad Path" } }],
])("a stored item with %s is malformed, and the message names it", async (_what, wrong) => {
  await using aws = await faultyAws((_request, reply) =>
    json(reply, 200, { Items: [{ ...stored(version), ...wrong }], Count: 1 }),
  );
  const error = await rejectionOf(ledgerOn(aws).readModule(version.path));
  expect(error.class).toBe("malformed");
  expect(error.message).toContain("pk" in wrong ? "Bad Path@v1.0.0" : "example.com/a@v1.0.0");
});

test("a name that is longer than DynamoDB's keys is malformed, and no request is made", async () => {
  await using aws = await faultyAws((_request, reply) => json(reply, 200, {}));
  const long = moduleVersion(`example.com/${"x".repeat(1100)}`, "v1.0.0");
  const change = { record: freshRecord(long), journal: { ...held, version: long } };
  expect((await rejectionOf(ledgerOn(aws).write([change]))).class).toBe("malformed");
  expect(aws.calls()).toBe(0);
});

const orders = versions(3).map(({ path, version: named }) => ({
  kind: "fetch" as const,
  path,
  versions: [named],
}));
const queueOn = (aws: FaultyAws) =>
  new SqsQueue({
    client: sqsClient(aws.settings),
    urls: {
      fresh: `${aws.settings.endpointUrl}/0/fresh`,
      backfill: `${aws.settings.endpointUrl}/0/backfill`,
    },
  });

test("of a batch, only the messages that SQS did not take are sent again", async () => {
  const sent: number[] = [];
  await using aws = await faultyAws(({ body }, reply, call) => {
    const entries: { Id: string; MessageBody: string }[] = JSON.parse(body.toString()).Entries;
    sent.push(entries.length);
    const refused = call === 0 ? entries.slice(1) : [];
    json(reply, 200, {
      Successful: entries.slice(0, call === 0 ? 1 : undefined).map(({ Id, MessageBody }) => ({
        Id,
        MessageId: Id,
        MD5OfMessageBody: hash("md5", MessageBody, "hex"),
      })),
      Failed: refused.map(({ Id }) => ({ Id, Code: "InternalError", SenderFault: false })),
    });
  });
  await queueOn(aws).send("fresh", orders);
  expect(sent).toEqual([3, 2]);
});

test("messages that SQS never takes, and a queue that is not there, are typed errors", async () => {
  await using refusing = await faultyAws(({ body }, reply) => {
    const { Entries } = JSON.parse(body.toString());
    const Failed = Entries.map(({ Id }: { Id: string }) => ({
      Id,
      Code: "InternalError",
      SenderFault: false,
    }));
    json(reply, 200, { Successful: [], Failed });
  });
  expect((await rejectionOf(queueOn(refusing).send("backfill", orders))).class).toBe("transient");
  await using missing = await faultyAws((_request, reply) =>
    json(reply, 400, { __type: "com.amazonaws.sqs#QueueDoesNotExist", message: "no such queue" }),
  );
  expect((await rejectionOf(queueOn(missing).send("fresh", orders))).class).toBe("misuse");
});

test("batches hold at most ten messages and 1 MiB, and every message once, in order", () => {
  const bodies = [
    ...Array.from({ length: 25 }, (_, n) => `${n}`),
    "a".repeat(600_000),
    "b".repeat(600_000),
    "c",
  ];
  const cut = batches(bodies);
  expect(cut.flat()).toEqual(bodies);
  expect(cut.map((batch) => batch.length)).toEqual([10, 10, 6, 2]);
});
