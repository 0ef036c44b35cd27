import {
  BatchGetItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
} from "@aws-sdk/client-dynamodb";
import pLimit, { type LimitFunction } from "p-limit";
import { MirrorError } from "../../mirror/errors.ts";
import { type Item, toItem } from "./attribute-values.ts";
import { type Condition, conditionOf } from "./condition.ts";
import { fromSdk } from "./errors.ts";
import type { ItemKey } from "./ledger-table.ts";
import { pause, TRIES } from "./retry.ts";

/** BatchGetItem takes this many keys (Amazon DynamoDB API reference). */
const BATCH_KEYS = 100;
/** Requests of one handle on their way at the same time; the rest wait here. */
const PARALLEL_REQUESTS = 32;

/** Reads of one DynamoDB table, strongly consistent but for those of an index; every error is a MirrorError. */
export class DynamoDbReads {
  protected readonly client: DynamoDBClient;
  protected readonly table: string;
  /** For messages. */
  protected readonly store: string;
  protected readonly limit: LimitFunction = pLimit(PARALLEL_REQUESTS);

  constructor(client: DynamoDBClient, table: string) {
    this.client = client;
    this.table = table;
    this.store = `table ${table}`;
  }

  async get(key: ItemKey): Promise<Item | undefined> {
    const command = new GetItemCommand({
      TableName: this.table,
      Key: toItem({ ...key }),
      ConsistentRead: true,
    });
    return (await this.run(key.sk, () => this.client.send(command))).Item;
  }

  /** Items of any number of keys, none of them twice; in no order, and absent where there is none. */
  async getMany(keys: readonly ItemKey[]): Promise<Item[]> {
    return (await settled(slices(keys, BATCH_KEYS).map((slice) => this.#getBatch(slice)))).flat();
  }

  /** How many items of an index's partition there are; reads them all. */
  async count(condition: Condition, index: string): Promise<number> {
    const { ConditionExpression: KeyConditionExpression, ...rest } = conditionOf(condition);
    let count = 0;
    let from: Item | undefined;
    do {
      const command = new QueryCommand({
        TableName: this.table,
        IndexName: index,
        Select: "COUNT",
        KeyConditionExpression,
        ...rest,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.run(index, () => this.client.send(command));
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
        TableName: this.table,
        KeyConditionExpression,
        ...rest,
        ...options,
        ConsistentRead,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.run(options.IndexName ?? "query", () => this.client.send(command));
      yield* page.Items ?? [];
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }

  /** Every item of which `condition` holds; reads the whole table, or what of it comes behind the key `after`. */
  async *scan(condition: Condition, after?: ItemKey): AsyncIterable<Item> {
    const { ConditionExpression: FilterExpression, ...rest } = conditionOf(condition);
    let from: Item | undefined = after && toItem({ ...after });
    do {
      const command = new ScanCommand({
        TableName: this.table,
        FilterExpression,
        ...rest,
        ConsistentRead: true,
        ...(from === undefined ? {} : { ExclusiveStartKey: from }),
      });
      const page = await this.run("scan", () => this.client.send(command));
      yield* page.Items ?? [];
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
  }

  async #getBatch(keys: readonly ItemKey[]): Promise<Item[]> {
    const found: Item[] = [];
    let left: Item[] = keys.map((key) => toItem({ ...key }));
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) await this.pauseFor("read", attempt, left.length);
      const asked = { [this.table]: { Keys: left, ConsistentRead: true } };
      const command = new BatchGetItemCommand({ RequestItems: asked });
      const reply = await this.run("read", () => this.client.send(command));
      const got = reply.Responses?.[this.table] ?? [];
      found.push(...got);
      left = reply.UnprocessedKeys?.[this.table]?.Keys ?? [];
      // A reply is cut at 16 MB too, and that is no trouble: only tries that bring nothing are counted.
      if (got.length > 0) attempt = 0;
    }
    return found;
  }

  /** Waits before a batch's rest is sent again. @throws MirrorError transient after TRIES. */
  protected async pauseFor(what: string, attempt: number, left: number): Promise<void> {
    if (attempt < TRIES) return pause(attempt);
    throw new MirrorError(
      "transient",
      what,
      `${what}: ${this.store}: throttled: ${left} items of a batch not processed`,
    );
  }

  protected async run<T>(subject: string, call: () => Promise<T>): Promise<T> {
    try {
      return await this.limit(call);
    } catch (thrown) {
      throw fromSdk(thrown, this.store, subject);
    }
  }
}

export function slices<T>(all: readonly T[], size: number): T[][] {
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
