import { randomUUID } from "node:crypto";
import {
  BatchGetItemCommand,
  BatchWriteItemCommand,
  type CancellationReason,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import pLimit, { type LimitFunction } from "p-limit";
import { MirrorError } from "../../mirror/errors.ts";
import { type Item, toItem } from "./attribute-values.ts";
import { type Condition, conditionOf } from "./condition.ts";
import { fromSdk, sdkError } from "./errors.ts";
import { type ItemKey, TABLE_KEY } from "./ledger-table.ts";
import { pause, TRIES } from "./retry.ts";

/** BatchGetItem takes this many keys, BatchWriteItem this many puts (Amazon DynamoDB API reference). */
const BATCH_KEYS = 100;
const BATCH_PUTS = 25;
/** Requests of one handle on their way at the same time; the rest wait here. */
const PARALLEL_REQUESTS = 32;

/** Another transaction or write held the item at that moment; nothing was written, and it is over soon. */
const conflicts = new Set(["TransactionConflict", "TransactionConflictException"]);
const throttled = new Set(["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"]);

/** What is written in the same transaction as another item: an item, or a number that is added to an attribute. */
export type Beside =
  | { readonly put: Item }
  | { readonly add: { readonly key: ItemKey; readonly attribute: string; readonly by: number } };

/** One DynamoDB table with strongly consistent reads; every error is a MirrorError. Its items are not known here. */
export class DynamoDbTable {
  readonly #client: DynamoDBClient;
  readonly #table: string;
  readonly #store: string;
  readonly #limit: LimitFunction = pLimit(PARALLEL_REQUESTS);

  constructor(client: DynamoDBClient, table: string) {
    this.#client = client;
    this.#table = table;
    this.#store = `table ${table}`;
  }

  async get(key: ItemKey): Promise<Item | undefined> {
    const command = new GetItemCommand({
      TableName: this.#table,
      Key: toItem({ ...key }),
      ConsistentRead: true,
    });
    return (await this.#run(key.sk, () => this.#client.send(command))).Item;
  }

  /** Items of any number of keys, none of them twice; in no order, and absent where there is none. */
  async getMany(keys: readonly ItemKey[]): Promise<Item[]> {
    return (await settled(slices(keys, BATCH_KEYS).map((slice) => this.#getBatch(slice)))).flat();
  }

  /** Writes each item, whatever was there; no two of one key. */
  async putMany(items: readonly Item[]): Promise<void> {
    await settled(slices(items, BATCH_PUTS).map((slice) => this.#putBatch(slice)));
  }

  /**
   * Puts `item` if `condition` holds of what is stored.
   * @returns whether it did. When a reply is lost the SDK asks again, and our own first write may fail the condition.
   */
  async putIf(item: Item, condition: Condition): Promise<boolean> {
    const command = new PutItemCommand({ TableName: this.#table, Item: item, ...conditionOf(condition) });
    return this.#conditionally(item, () => this.#client.send(command));
  }

  /**
   * Puts `item` if `condition` holds, and with it does what is `beside` it, no two of one item: all or nothing.
   * The token is new for each call and not made of the content: it lets the SDK repeat a request whose reply was lost
   * and be told of its own success, while of two writers with one and the same content still only one wins.
   */
  async putWithIf(item: Item, condition: Condition, beside: readonly Beside[]): Promise<boolean> {
    const command = new TransactWriteItemsCommand({
      ClientRequestToken: randomUUID(),
      TransactItems: [
        { Put: { TableName: this.#table, Item: item, ...conditionOf(condition) } },
        ...beside.map((write) => this.#besideOf(write)),
      ],
    });
    return this.#conditionally(item, () => this.#client.send(command));
  }

  /** Deletes the item if it is there and `condition` holds. @returns whether `condition` held. */
  async delete(key: ItemKey, condition?: Condition): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.#table,
      Key: toItem({ ...key }),
      ...(condition === undefined ? {} : conditionOf(condition)),
    });
    return await this.#conditionally(command.input.Key ?? {}, () => this.#client.send(command));
  }

  /** How many items of an index's partition there are; reads them all. */
  async count(condition: Condition, index: string): Promise<number> {
    const { ConditionExpression: KeyConditionExpression, ...rest } = conditionOf(condition);
    let count = 0;
    let from: Item | undefined;
    do {
      const command = new QueryCommand({
        TableName: this.#table,
        IndexName: index,
        Select: "COUNT",
        KeyConditionExpression,
        ...rest,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.#run(index, () => this.#client.send(command));
      count += page.Count ?? 0;
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    return count;
  }

  /** Items of one partition, or one of an index, by growing sort key; page by page, as they are asked for. */
  async *query(
    condition: Condition,
    options: Pick<QueryCommandInput, "IndexName" | "Limit" | "ScanIndexForward" | "Select"> = {},
  ): AsyncIterable<Item> {
    const { ConditionExpression: KeyConditionExpression, ...rest } = conditionOf(condition);
    const ConsistentRead = options.IndexName === undefined;
    let from: Item | undefined;
    do {
      const command = new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression,
        ...rest,
        ...options,
        ConsistentRead,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.#run(options.IndexName ?? "query", () => this.#client.send(command));
      yield* page.Items ?? [];
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }

  /** Every item of which `condition` holds; reads the whole table. */
  async *scan(condition: Condition): AsyncIterable<Item> {
    const { ConditionExpression: FilterExpression, ...rest } = conditionOf(condition);
    let from: Item | undefined;
    do {
      const command = new ScanCommand({
        TableName: this.#table,
        FilterExpression,
        ...rest,
        ConsistentRead: true,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.#run("scan", () => this.#client.send(command));
      yield* page.Items ?? [];
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }

  #besideOf(write: Beside): TransactWriteItem {
    if ("put" in write) return { Put: { TableName: this.#table, Item: write.put } };
    const { key, attribute, by } = write.add;
    return {
      Update: {
        TableName: this.#table,
        Key: toItem({ ...key }),
        UpdateExpression: "ADD #attribute :by",
        ExpressionAttributeNames: { "#attribute": attribute },
        ExpressionAttributeValues: toItem({ ":by": by }),
      },
    };
  }

  async #getBatch(keys: readonly ItemKey[]): Promise<Item[]> {
    const found: Item[] = [];
    let left: Item[] = keys.map((key) => toItem({ ...key }));
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) await this.#pauseFor("read", attempt, left.length);
      const asked = { [this.#table]: { Keys: left, ConsistentRead: true } };
      const command = new BatchGetItemCommand({ RequestItems: asked });
      const reply = await this.#run("read", () => this.#client.send(command));
      const got = reply.Responses?.[this.#table] ?? [];
      found.push(...got);
      left = reply.UnprocessedKeys?.[this.#table]?.Keys ?? [];
      // A reply is cut at 16 MB too, and that is no trouble: only tries that bring nothing are counted.
      if (got.length > 0) attempt = 0;
    }
    return found;
  }

  async #putBatch(items: readonly Item[]): Promise<void> {
    let left = items.map((item) => ({ PutRequest: { Item: item } }));
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) await this.#pauseFor("write", attempt, left.length);
      const command = new BatchWriteItemCommand({ RequestItems: { [this.#table]: left } });
      const reply = await this.#run("write", () => this.#client.send(command));
      const unprocessed = reply.UnprocessedItems?.[this.#table] ?? [];
      left = unprocessed.flatMap(({ PutRequest }) =>
        PutRequest?.Item ? [{ PutRequest: { Item: PutRequest.Item } }] : [],
      );
    }
  }

  async #pauseFor(what: string, attempt: number, left: number): Promise<void> {
    if (attempt < TRIES) return pause(attempt);
    throw new MirrorError(
      "transient",
      what,
      `${what}: ${this.#store}: throttled: ${left} items of a batch not processed`,
    );
  }

  /** @returns false when the condition did not hold. */
  async #conditionally(item: Item, call: () => Promise<unknown>): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#limit(call);
        return true;
      } catch (thrown) {
        const reasons = new Set([sdkError(thrown).name, ...cancellations(thrown)]);
        if (reasons.has("ConditionalCheckFailedException") || reasons.has("ConditionalCheckFailed"))
          return false;
        const passing = [...reasons].some((reason) => conflicts.has(reason) || throttled.has(reason));
        if (!passing || attempt === TRIES) throw fromSdk(thrown, this.#store, item[TABLE_KEY.sort]?.S ?? "");
        await pause(attempt);
      }
    }
  }

  async #run<T>(subject: string, call: () => Promise<T>): Promise<T> {
    try {
      return await this.#limit(call);
    } catch (thrown) {
      throw fromSdk(thrown, this.#store, subject);
    }
  }
}

/** Why a transaction was cancelled, for each of its items: TransactionCanceledException, CancellationReasons. */
function cancellations(thrown: unknown): string[] {
  const reasons = (thrown as { CancellationReasons?: CancellationReason[] }).CancellationReasons ?? [];
  return reasons.flatMap(({ Code }) => (Code === undefined || Code === "None" ? [] : [Code]));
}

function slices<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

/** All results, or the first error, but only after every call has ended: none goes on behind the caller's back. */
export async function settled<T>(calls: readonly Promise<T>[]): Promise<T[]> {
  const ended = await Promise.allSettled(calls);
  return ended.map((call) => {
    if (call.status === "rejected") throw call.reason;
    return call.value;
  });
}
