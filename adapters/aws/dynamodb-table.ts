import { randomUUID } from "node:crypto";
import {
  BatchWriteItemCommand,
  type CancellationReason,
  DeleteItemCommand,
  PutItemCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
} from "@aws-sdk/client-dynamodb";
import { type Item, toItem } from "./attribute-values.ts";
import { type Condition, conditionOf } from "./condition.ts";
import { DynamoDbReads, settled, slices } from "./dynamodb-reads.ts";
import { fromSdk, sdkError } from "./errors.ts";
import { type ItemKey, TABLE_KEY } from "./ledger-table.ts";
import { pause, TRIES } from "./retry.ts";

/** BatchWriteItem takes this many puts (Amazon DynamoDB API reference). */
const BATCH_PUTS = 25;

/** Another transaction or write held the item at that moment; nothing was written, and it is over soon. */
const conflicts = new Set(["TransactionConflict", "TransactionConflictException"]);
const throttled = new Set(["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"]);

/** What is written in the same transaction as another item: an item, or a number that is added to an attribute. */
export type Beside =
  | { readonly put: Item }
  | { readonly add: { readonly key: ItemKey; readonly attribute: string; readonly by: number } };

/** One DynamoDB table, to be read and written. Its items are not known here. */
export class DynamoDbTable extends DynamoDbReads {
  /** Writes each item, whatever was there; no two of one key. */
  async putMany(items: readonly Item[]): Promise<void> {
    await settled(slices(items, BATCH_PUTS).map((slice) => this.#putBatch(slice)));
  }

  /**
   * Puts `item` if `condition` holds of what is stored.
   * @returns whether it did. When a reply is lost the SDK asks again, and our own first write may fail the condition.
   */
  async putIf(item: Item, condition: Condition): Promise<boolean> {
    const command = new PutItemCommand({ TableName: this.table, Item: item, ...conditionOf(condition) });
    return this.#conditionally(item, () => this.client.send(command));
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
        { Put: { TableName: this.table, Item: item, ...conditionOf(condition) } },
        ...beside.map((write) => this.#besideOf(write)),
      ],
    });
    return this.#conditionally(item, () => this.client.send(command));
  }

  /** Deletes the item if it is there and `condition` holds. @returns whether `condition` held. */
  async delete(key: ItemKey, condition?: Condition): Promise<boolean> {
    const command = new DeleteItemCommand({
      TableName: this.table,
      Key: toItem({ ...key }),
      ...(condition === undefined ? {} : conditionOf(condition)),
    });
    return await this.#conditionally(command.input.Key ?? {}, () => this.client.send(command));
  }

  #besideOf(write: Beside): TransactWriteItem {
    if ("put" in write) return { Put: { TableName: this.table, Item: write.put } };
    const { key, attribute, by } = write.add;
    return {
      Update: {
        TableName: this.table,
        Key: toItem({ ...key }),
        UpdateExpression: "ADD #attribute :by",
        ExpressionAttributeNames: { "#attribute": attribute },
        ExpressionAttributeValues: toItem({ ":by": by }),
      },
    };
  }

  async #putBatch(items: readonly Item[]): Promise<void> {
    let left = items.map((item) => ({ PutRequest: { Item: item } }));
    for (let attempt = 0; left.length > 0; attempt++) {
      if (attempt > 0) await this.pauseFor("write", attempt, left.length);
      const command = new BatchWriteItemCommand({ RequestItems: { [this.table]: left } });
      const reply = await this.run("write", () => this.client.send(command));
      const unprocessed = reply.UnprocessedItems?.[this.table] ?? [];
      left = unprocessed.flatMap(({ PutRequest }) =>
        PutRequest?.Item ? [{ PutRequest: { Item: PutRequest.Item } }] : [],
      );
    }
  }

  /** @returns false when the condition did not hold. */
  async #conditionally(item: Item, call: () => Promise<unknown>): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.limit(call);
        return true;
      } catch (thrown) {
        const reasons = new Set([sdkError(thrown).name, ...cancellations(thrown)]);
        if (reasons.has("ConditionalCheckFailedException") || reasons.has("ConditionalCheckFailed"))
          return false;
        const passing = [...reasons].some((reason) => conflicts.has(reason) || throttled.has(reason));
        if (!passing || attempt === TRIES) throw fromSdk(thrown, this.store, item[TABLE_KEY.sort]?.S ?? "");
        await pause(attempt);
      }
    }
  }
}

/** Why a transaction was cancelled, for each of its items: TransactionCanceledException, CancellationReasons. */
function cancellations(thrown: unknown): string[] {
  const reasons = (thrown as { CancellationReasons?: CancellationReason[] }).CancellationReasons ?? [];
  return reasons.flatMap(({ Code }) => (Code === undefined || Code === "None" ? [] : [Code]));
}
