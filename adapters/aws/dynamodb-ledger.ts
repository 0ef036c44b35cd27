import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { OpenWork, RecordChange, StateCount } from "../../mirror/ledger-entries.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { Ledger } from "../../mirror/ports.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import { toItem } from "./attribute-values.ts";
import { below, type Condition, stillAt } from "./condition.ts";
import { settled } from "./dynamodb-reads.ts";
import { DynamoDbSeries } from "./dynamodb-series.ts";
import { type Beside, DynamoDbTable } from "./dynamodb-table.ts";
import { parseItemKey } from "./item-fields.ts";
import * as items from "./ledger-items.ts";
import {
  DUE_INDEX,
  DUE_REQUESTS,
  dueShards,
  type ItemKey,
  modulePartition,
  ORDER_PREFIX,
  orderKey,
  ordersPartition,
  requestKey,
  STATE_INDEX,
  stateShards,
  VERSION_PREFIX,
  versionKey,
  workKey,
  workPartition,
} from "./ledger-table.ts";
import { parseRecord, printRecord } from "./record-item.ts";

/**
 * The ledger in one DynamoDB table (docs/architecture.md, Formats that last). Reads are strongly consistent; `due`
 * asks the index, which lags, and reads what it names again, so that it names nothing that is no longer due.
 */
export class DynamoDbLedger extends DynamoDbSeries implements Ledger {
  constructor({ client, table }: { readonly client: DynamoDBClient; readonly table: string }) {
    super(new DynamoDbTable(client, table));
  }

  async read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]> {
    const keys = versions.map(versionKey);
    const found = new Map<string, VersionRecord>();
    for (const item of await this.table.getMany(distinct(keys))) {
      found.set(nameOf(parseItemKey(item)), parseRecord(item));
    }
    return keys.map((key) => {
      const record = found.get(nameOf(key));
      return record && { ...record };
    });
  }

  readModule(path: ModulePath): Promise<VersionRecord[]> {
    return collect(this.table.query(below(modulePartition(path), VERSION_PREFIX)), parseRecord);
  }

  async write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]> {
    return settled(changes.map((change) => this.#writeOne(change)));
  }

  async *records(): AsyncIterable<VersionRecord> {
    const ofVersions: Condition = {
      expression: "begins_with(#pk, :pk) AND begins_with(#sk, :sk)",
      values: { ":pk": modulePartition(""), ":sk": VERSION_PREFIX },
    };
    for await (const item of this.table.scan(ofVersions)) yield parseRecord(item);
  }

  async due(before: number, limit: number): Promise<VersionRecord[]> {
    const found = await this.#dueKeys(dueShards, before, limit);
    const records = (await this.table.getMany(found)).map(parseRecord);
    return soonest(records, before);
  }

  async inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: VersionRecord },
  ): Promise<VersionRecord[]> {
    const ofShard = async (shard: string) => {
      const found: { readonly key: ItemKey; readonly wantedAt: number }[] = [];
      const condition = {
        expression: `#${STATE_INDEX.partition} = :shard AND #${STATE_INDEX.sort} >= :from`,
        values: { ":shard": shard, ":from": after?.wantedAt ?? 0 },
      };
      for await (const item of this.table.query(condition, { IndexName: STATE_INDEX.name, Limit: limit })) {
        const entry = { key: parseItemKey(item), wantedAt: Number(item[STATE_INDEX.sort]?.N) };
        if (after !== undefined && byWait(entry, waitOf(after)) <= 0) continue;
        found.push(entry);
        // Of one moment they come in no order of ours: all of it are needed to know which are first.
        if (found.length >= limit && found.at(-2)?.wantedAt !== entry.wantedAt) break;
      }
      return found;
    };
    const found = (await settled(stateShards(state).map(ofShard))).flat().sort(byWait).slice(0, limit);
    const records = (await this.table.getMany(found.map(({ key }) => key))).map(parseRecord);
    return records.filter((record) => record.state === state).sort((a, b) => byWait(waitOf(a), waitOf(b)));
  }

  async countState(state: State): Promise<StateCount> {
    const counts = await settled(
      stateShards(state).map((shard) =>
        this.table.count(
          { expression: `#${STATE_INDEX.partition} = :shard`, values: { ":shard": shard } },
          STATE_INDEX.name,
        ),
      ),
    );
    const count = counts.reduce((sum, some) => sum + some, 0);
    const [first] = count === 0 ? [] : await this.inState(state, { limit: 1 });
    return { count, ...(first === undefined ? {} : { oldest: first.wantedAt }) };
  }

  async *openWork(feed: string, from: string): AsyncIterable<OpenWork> {
    // No window sorts before it, and a sort key is never empty.
    const since = { ":pk": workPartition(feed), ":from": from || "0" };
    const windows = new Map<string, number>();
    for await (const item of this.table.query({ expression: "#pk = :pk AND #sk >= :from", values: since })) {
      const { window, open } = items.parseOpenWork(item);
      windows.set(window, (windows.get(window) ?? 0) + open);
    }
    for (const [window, open] of windows) if (open !== 0) yield { window, open };
  }

  async readRequest(key: RequestKey): Promise<RequestRecord | undefined> {
    const item = await this.table.get(requestKey(key));
    return item && items.parseRequest(item);
  }

  async writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    const next = { ...record, revision: record.revision + 1 };
    return (await this.table.putIf(items.printRequest(next), stillAt(record.revision))) ? next : "changed";
  }

  async dueRequests(before: number, limit: number): Promise<RequestRecord[]> {
    const found = await this.#dueKeys([DUE_REQUESTS], before, limit);
    const records = (await this.table.getMany(found)).map(items.parseRequest);
    return soonest(records, before);
  }

  async openOrders(request: RequestKey, numbers: readonly number[]): Promise<void> {
    await this.table.putMany([...new Set(numbers)].map((number) => toItem({ ...orderKey(request, number) })));
  }

  /** Deletes first and counts after, strongly: of two workers that close the last two orders, one counts zero. */
  async closeOrder(request: RequestKey, number: number): Promise<{ readonly open: number }> {
    await this.table.delete(orderKey(request, number));
    for await (const _item of this.table.query(below(ordersPartition(request), ORDER_PREFIX), {
      Limit: 1,
    })) {
      return { open: 1 };
    }
    return { open: 0 };
  }

  async #writeOne({ record, journal, work = [] }: RecordChange): Promise<VersionRecord | "changed"> {
    const next = { ...record, revision: record.revision + 1 };
    const item = printRecord(next);
    const condition = stillAt(record.revision);
    const beside: Beside[] = work.map(({ feed, window, change }) => ({
      add: { key: workKey(feed, window, record), attribute: "open", by: change },
    }));
    if (journal !== undefined) beside.push({ put: items.printJournalEntry(journal) });
    const written =
      beside.length === 0
        ? await this.table.putIf(item, condition)
        : await this.table.putWithIf(item, condition, beside);
    return written ? next : "changed";
  }

  /** Keys of the `limit` soonest that the index has as due: each shard's soonest, then the soonest of these. */
  async #dueKeys(shards: readonly string[], before: number, limit: number): Promise<ItemKey[]> {
    if (limit < 1) return [];
    const ofShard = async (shard: string) => {
      const condition: Condition = {
        expression: `#${DUE_INDEX.partition} = :shard AND #${DUE_INDEX.sort} <= :before`,
        values: { ":shard": shard, ":before": before },
      };
      const found: { readonly key: ItemKey; readonly due: number }[] = [];
      for await (const item of this.table.query(condition, { IndexName: DUE_INDEX.name, Limit: limit })) {
        found.push({ key: parseItemKey(item), due: Number(item[DUE_INDEX.sort]?.N) });
        if (found.length === limit) break;
      }
      return found;
    };
    const found = (await settled(shards.map(ofShard))).flat();
    return found
      .sort((a, b) => a.due - b.due)
      .slice(0, limit)
      .map(({ key }) => key);
  }
}

/** Those that are due indeed, soonest first. */
function soonest<T extends { readonly due?: number }>(records: readonly T[], before: number): T[] {
  const at = (record: T) => record.due ?? Number.POSITIVE_INFINITY;
  return records.filter((record) => at(record) <= before).sort((a, b) => at(a) - at(b));
}

/** The longest wanted first; of the same moment by name, as the other ledgers have it. */
function byWait(a: Wait, b: Wait): number {
  return a.wantedAt - b.wantedAt || Buffer.compare(Buffer.from(nameOf(a.key)), Buffer.from(nameOf(b.key)));
}

interface Wait {
  readonly wantedAt: number;
  readonly key: ItemKey;
}

function waitOf(record: VersionRecord): Wait {
  return { wantedAt: record.wantedAt, key: versionKey(record) };
}

const nameOf = ({ pk, sk }: ItemKey): string => `${pk}\n${sk}`;

function distinct(keys: readonly ItemKey[]): ItemKey[] {
  return [...new Map(keys.map((key) => [nameOf(key), key])).values()];
}

async function collect<From, To>(from: AsyncIterable<From>, parse: (item: From) => To): Promise<To[]> {
  const collected: To[] = [];
  for await (const item of from) collected.push(parse(item));
  return collected;
}
