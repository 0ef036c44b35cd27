import { expect, test } from "vitest";
import { DUE_INDEX, TABLE_KEY } from "../../adapters/aws/ledger-table.ts";
import { DynamoDbMeter } from "./dynamodb-units.ts";

/** Figures of the Amazon DynamoDB developer guide: Read and write operations; Item sizes; Global secondary indexes. */
const KEY_BYTES = Buffer.byteLength(`${TABLE_KEY.partition}${TABLE_KEY.sort}`) + 2;

/** An item of so many bytes in all; `more` comes on top. */
function item(sk: string, bytes: number, more: Record<string, Record<string, string>> = {}) {
  const filler = "x".repeat(bytes - KEY_BYTES - 1);
  return { [TABLE_KEY.partition]: { S: "p" }, [TABLE_KEY.sort]: { S: sk }, f: { S: filler }, ...more };
}
const due = (at: number) => ({ [DUE_INDEX.partition]: { S: "due#0" }, [DUE_INDEX.sort]: { N: String(at) } });
const put = (meter: DynamoDbMeter, Item: object, ok = true) =>
  meter.unitsOf("PutItem", { Item: Item as never }, {}, ok);

test.each([
  [500, 1],
  [1_024, 1],
  [1_025, 2],
  [3_500, 4],
])("a put of %i bytes costs %i write units, in a transaction twice that", (bytes, units) => {
  expect(put(new DynamoDbMeter(), item("a", bytes)).write).toBe(units);
  const transaction = { TransactItems: [{ Put: { Item: item("a", bytes) } }] };
  expect(new DynamoDbMeter().unitsOf("TransactWriteItems", transaction, {}, true).write).toBe(2 * units);
});

test("a put over a larger item costs what the larger of both does, also where its condition refuses it", () => {
  const meter = new DynamoDbMeter();
  put(meter, item("a", 3_000));
  expect(put(meter, item("a", 100), false).write).toBe(3);
  expect(put(meter, item("a", 100)).write).toBe(3);
  expect(put(meter, item("a", 100)).write).toBe(1);
});

test("BatchGetItem rounds each item up by itself: 1.5 KB and 6.5 KB are 3 units; a missing one is 1", () => {
  const request = { RequestItems: { table: { Keys: [{}, {}, {}] } } };
  const reply = { Responses: { table: [item("a", 1_536), item("b", 6_656)] } };
  expect(new DynamoDbMeter().unitsOf("BatchGetItem", request, reply, true).read).toBe(1 + 2 + 1);
});

test("a query rounds its items up together, and costs half where it is not strong", () => {
  const reply = { Items: Array.from({ length: 10 }, (_, n) => item(String(n), 1_000)) };
  const units = (ConsistentRead: boolean) =>
    new DynamoDbMeter().unitsOf("Query", { ConsistentRead }, reply, true).read;
  expect([units(true), units(false)]).toEqual([3, 1.5]);
  expect(new DynamoDbMeter().unitsOf("Query", {}, { Items: [] }, true).read).toBe(0.5);
});

test("an index costs one write for an entry that is new or gone, two for one that moves, none for one that stays", () => {
  const meter = new DynamoDbMeter();
  const index = (more: Record<string, Record<string, string>>) => put(meter, item("a", 100, more)).index;
  expect([index({}), index(due(1)), index(due(1)), index(due(2)), index({})]).toEqual([0, 1, 0, 2, 1]);
  index(due(3));
  const Key = { [TABLE_KEY.partition]: { S: "p" }, [TABLE_KEY.sort]: { S: "a" } };
  expect(meter.unitsOf("DeleteItem", { Key }, {}, true).index).toBe(1);
});
