/**
 * What DynamoDB bills for a call, from its request and reply (Amazon DynamoDB, Read and write operations; Item sizes;
 * Global secondary indexes: write capacity). An emulator's own ConsumedCapacity is not asked.
 */
import { DUE_INDEX, STATE_INDEX, TABLE_KEY } from "../../adapters/aws/ledger-table.ts";

type Value = Readonly<Record<string, unknown>>;
type Item = Readonly<Record<string, Value>>;

export interface Units {
  readonly read: number;
  readonly write: number;
  /** Those of `write` that are of indexes. */
  readonly index: number;
}

const WRITE_UNIT = 1_024;
const READ_UNIT = 4_096;
const INDEXES = [DUE_INDEX, STATE_INDEX];

/** Remembers what was written, since what a write costs in an index depends on what was there before. */
export class DynamoDbMeter {
  readonly #items = new Map<string, Item>();

  /** @param call the operation, such as `PutItem`; `ok` whether it was done. */
  unitsOf(
    call: string,
    request: Record<string, unknown>,
    reply: Record<string, unknown>,
    ok: boolean,
  ): Units {
    switch (call) {
      case "GetItem":
        return reads(readUnits([reply.Item as Item | undefined]));
      case "BatchGetItem":
        return reads(batchReadUnits(request, reply));
      case "Query":
      case "Scan":
        return reads(pageUnits(request, reply));
      case "PutItem":
        return this.#put(request.Item as Item, ok, 1);
      case "TransactWriteItems": {
        const puts = request.TransactItems as readonly { Put?: { Item: Item }; Delete?: { Key: Item } }[];
        return sum(
          puts.map(({ Put, Delete }) =>
            Put ? this.#put(Put.Item, ok, 2) : this.#remove(Delete?.Key ?? {}, ok, 2),
          ),
        );
      }
      case "BatchWriteItem": {
        const [writes = []] = Object.values(
          request.RequestItems as Record<
            string,
            { PutRequest?: { Item: Item }; DeleteRequest?: { Key: Item } }[]
          >,
        );
        return sum(
          writes.map(({ PutRequest, DeleteRequest }) =>
            PutRequest ? this.#put(PutRequest.Item, ok, 1) : this.#remove(DeleteRequest?.Key ?? {}, ok, 1),
          ),
        );
      }
      case "DeleteItem":
        return this.#remove(request.Key as Item, ok, 1);
      default:
        throw new Error(`DynamoDB ${call}: say here what it costs`);
    }
  }

  /** A write that its condition refused is billed as one that was done, its indexes excepted. */
  #put(item: Item, ok: boolean, times: number): Units {
    const name = nameOf(item);
    const before = this.#items.get(name);
    const own = times * Math.max(units(item, WRITE_UNIT), units(before ?? {}, WRITE_UNIT));
    if (!ok) return { read: 0, write: own, index: 0 };
    this.#items.set(name, item);
    const index = indexWrites(before, item);
    return { read: 0, write: own + index, index };
  }

  #remove(key: Item, ok: boolean, times: number): Units {
    const name = nameOf(key);
    const before = this.#items.get(name);
    const own = times * Math.max(1, units(before ?? {}, WRITE_UNIT));
    if (!ok) return { read: 0, write: own, index: 0 };
    this.#items.delete(name);
    const index = indexWrites(before, undefined);
    return { read: 0, write: own + index, index };
  }

  /** Bytes of all that is stored, with the 100 that storage adds to each item. */
  get storedBytes(): number {
    return [...this.#items.values()].reduce((bytes, item) => bytes + itemBytes(item) + 100, 0);
  }
}

/** An entry that is new or gone costs one write, one that moves two; its projected keys are below 1 KB. */
function indexWrites(before: Item | undefined, after: Item | undefined): number {
  const entry = (item: Item | undefined, { partition, sort }: (typeof INDEXES)[number]) => {
    const keys = [item?.[partition], item?.[sort]];
    return keys.includes(undefined) ? undefined : JSON.stringify(keys);
  };
  return INDEXES.reduce((writes, index) => {
    const [was, is] = [entry(before, index), entry(after, index)];
    if (was === is) return writes;
    return writes + (was !== undefined && is !== undefined ? 2 : 1);
  }, 0);
}

/** Each item for itself; one that is not there costs one unit. */
function readUnits(items: readonly (Item | undefined)[]): number {
  return items.reduce((all, item) => all + Math.max(1, units(item ?? {}, READ_UNIT)), 0);
}

function batchReadUnits(request: Record<string, unknown>, reply: Record<string, unknown>): number {
  const [asked] = Object.values(request.RequestItems as Record<string, { Keys: Item[] }>);
  const [found = []] = Object.values((reply.Responses ?? {}) as Record<string, Item[]>);
  return readUnits(found) + Math.max(0, (asked?.Keys.length ?? 0) - found.length);
}

/** A page costs what its items have together; half where it is not read strongly. */
function pageUnits(request: Record<string, unknown>, reply: Record<string, unknown>): number {
  const items = (reply.Items ?? []) as Item[];
  const bytes = items.reduce((all, item) => all + itemBytes(item), 0);
  const whole = Math.max(1, Math.ceil(bytes / READ_UNIT));
  return request.ConsistentRead === true ? whole : whole / 2;
}

function units(item: Item, unit: number): number {
  return Math.ceil(itemBytes(item) / unit);
}

function itemBytes(item: Item): number {
  return Object.entries(item).reduce(
    (bytes, [name, value]) => bytes + Buffer.byteLength(name) + valueBytes(value),
    0,
  );
}

function valueBytes(value: Value): number {
  const [[type, content] = ["NULL", true]] = Object.entries(value);
  switch (type) {
    case "S":
      return Buffer.byteLength(String(content));
    case "N":
      return Math.ceil(String(content).length / 2) + 1;
    case "B":
      return Buffer.byteLength(String(content), "base64");
    case "M":
      return 3 + itemBytes(content as Item) + Object.keys(content as Item).length;
    case "L":
      return 3 + (content as Value[]).reduce((bytes, one) => bytes + valueBytes(one) + 1, 0);
    default:
      return 1;
  }
}

const nameOf = (item: Item): string =>
  `${String(item[TABLE_KEY.partition]?.S)}\n${String(item[TABLE_KEY.sort]?.S)}`;
const reads = (read: number): Units => ({ read, write: 0, index: 0 });

function sum(all: readonly Units[]): Units {
  return all.reduce(
    (one, other) => ({
      read: one.read + other.read,
      write: one.write + other.write,
      index: one.index + other.index,
    }),
    { read: 0, write: 0, index: 0 },
  );
}
