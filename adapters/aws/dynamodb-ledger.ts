import type { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type { ModulePath } from "../../gomod/module-path.ts";
import type { ModuleVersion } from "../../gomod/version.ts";
import type { JournalEntry, OpenWork, RecordChange, StateCount } from "../../mirror/ledger-entries.ts";
import type { RequestKey } from "../../mirror/orders.ts";
import type { Ledger, WantedPlace } from "../../mirror/ports.ts";
import type { State, VersionRecord } from "../../mirror/records.ts";
import type { RequestRecord } from "../../mirror/requests.ts";
import { requireWholeNumbers } from "../../mirror/whole-numbers.ts";
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
  journalPartitions,
  modulePartition,
  ORDER_PREFIX,
  orderKey,
  ordersPartition,
  REQUESTS_PARTITION,
  requestKey,
  STATE_INDEX,
  stateShards,
  VERSION_PREFIX,
  versionKey,
  workKey,
  workPartition,
} from "./ledger-table.ts";
import { parseRecord, printRecord } from "./record-item.ts";

const HOUR = 3_600_000;
/** Sorts behind every window. */
const AFTER_ALL_WINDOWS = "~";
/** Counters that one call forgets at most. */
const MOST_FORGOTTEN = 1_000;

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
    for (const { record } of changes) requireWholeNumbers(`${record.path}@${record.version}`, record);
    return settled(changes.map((change) => this.#writeOne(change)));
  }

  async forget(records: readonly VersionRecord[]): Promise<number> {
    const gone = await settled(records.map((record) => this.#delete(versionKey(record), record.revision)));
    return gone.filter((isGone) => isGone).length;
  }

  async *records(after?: ModuleVersion): AsyncIterable<VersionRecord> {
    const ofVersions: Condition = {
      expression: "begins_with(#pk, :pk) AND begins_with(#sk, :sk)",
      values: { ":pk": modulePartition(""), ":sk": VERSION_PREFIX },
    };
    for await (const item of this.table.scan(ofVersions, after && versionKey(after))) yield parseRecord(item);
  }

  async *journal(from: number, to: number): AsyncIterable<JournalEntry> {
    for (let hour = Math.floor(from / HOUR) * HOUR; hour < to; hour += HOUR) {
      for (const partition of journalPartitions(hour)) {
        const lines = { expression: "#pk = :pk", values: { ":pk": partition } };
        for await (const item of this.table.query(lines)) {
          const entry = items.parseJournalEntry(item);
          if (entry.at >= from && entry.at < to) yield entry;
        }
      }
    }
  }

  async due(before: number, limit: number): Promise<VersionRecord[]> {
    const found = await this.#dueKeys(dueShards, before, limit);
    const records = (await this.table.getMany(found)).map(parseRecord);
    return soonest(records, before);
  }

  async inState(
    state: State,
    { limit, after }: { readonly limit: number; readonly after?: WantedPlace },
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

  async *openWork(feed: string, before = AFTER_ALL_WINDOWS): AsyncIterable<OpenWork> {
    // A window's counters stand beside each other, so that the first windows cost no look at the others.
    let window: string | undefined;
    let open = 0;
    for await (const counter of this.#counters(feed, before)) {
      if (window !== undefined && counter.window !== window) {
        if (open !== 0) yield { window, open };
        open = 0;
      }
      window = counter.window;
      open += counter.open;
    }
    if (window !== undefined && open !== 0) yield { window, open };
  }

  /** A counter that is added to meanwhile stays, and one that is deleted is made anew by the next that is added. */
  async forgetWork(feed: string, before: string): Promise<void> {
    const done: ItemKey[] = [];
    for await (const { key, open } of this.#counters(feed, before)) {
      if (open === 0) done.push(key);
      if (done.length === MOST_FORGOTTEN) break;
    }
    const isZero = { expression: "#open = :zero", values: { ":zero": 0 } };
    await settled(done.map((key) => this.table.delete(key, isZero)));
  }

  async *#counters(feed: string, before: string): AsyncIterable<OpenWork & { readonly key: ItemKey }> {
    const values = { ":pk": workPartition(feed), ":before": before };
    const found = this.table.query({ expression: "#pk = :pk AND #sk < :before", values });
    for await (const item of found) yield { ...items.parseOpenWork(item), key: parseItemKey(item) };
  }

  async readRequest(key: RequestKey): Promise<RequestRecord | undefined> {
    const item = await this.table.get(requestKey(key));
    return item && items.parseRequest(item);
  }

  async writeRequest(record: RequestRecord): Promise<RequestRecord | "changed"> {
    requireWholeNumbers(`request ${record.name}/${record.time}`, record);
    const next = { ...record, revision: record.revision + 1 };
    return (await this.table.putIf(items.printRequest(next), stillAt(record.revision))) ? next : "changed";
  }

  /** What it waits for first: a crash leaves a request without orders, which is forgotten the same way. */
  async forgetRequest(record: RequestRecord): Promise<boolean> {
    const current = await this.readRequest(record);
    if (current?.revision !== record.revision) return false;
    const orders: ItemKey[] = [];
    for await (const item of this.table.query(below(ordersPartition(record), ORDER_PREFIX)))
      orders.push(parseItemKey(item));
    await settled(orders.map((key) => this.table.delete(key)));
    return await this.#delete(requestKey(record), record.revision);
  }

  async *requests(): AsyncIterable<RequestRecord> {
    const all = { expression: "#pk = :pk", values: { ":pk": REQUESTS_PARTITION } };
    for await (const item of this.table.query(all)) yield items.parseRequest(item);
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

  /** Of what was never stored there is nothing to delete, and no condition that would say so. */
  async #delete(key: ItemKey, revision: number): Promise<boolean> {
    return revision > 0 && (await this.table.delete(key, stillAt(revision)));
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

function waitOf(record: WantedPlace): Wait {
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
