import { createHash } from "node:crypto";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { MirrorError } from "../../mirror/errors.ts";
import type { RequestKey } from "../../mirror/orders.ts";

/** The ledger's primary key; both are strings. infra/ makes the table of these names. */
export const TABLE_KEY = { partition: "pk", sort: "sk" } as const;

/**
 * The sparse index of all states with work: only items that are due have its two attributes. The partition is a
 * string, one of `due#0` to `due#7` for versions and `due#request` for requests; the sort key is a number, the time
 * in ms. It projects keys only: what is due is read again from the table, strongly, by whoever asks.
 */
export const DUE_INDEX = {
  name: "due",
  partition: "dueShard",
  sort: "due",
  projection: "KEYS_ONLY",
} as const;

/**
 * The sparse index of all states but READY, the longest wanted first: for status and metrics, and for what a sweep
 * over a state works on. The partition is a string, `FAILED#0` to `FAILED#3`; the sort key is a number, `wantedAt`.
 */
export const STATE_INDEX = {
  name: "state",
  partition: "stateShard",
  sort: "wantedAt",
  projection: "KEYS_ONLY",
} as const;

/** Each shard takes the writes of one index partition: 1,000 a second (Amazon DynamoDB, partition quotas). */
const DUE_SHARDS = 8;
const JOURNAL_SHARDS = 4;
const STATE_SHARDS = 4;
/** A window's count of open work is kept in as many items: the workers of a busy hour would wait for each other at one. */
const WORK_SHARDS = 8;
export const DUE_REQUESTS = "due#request";
export const dueShards: readonly string[] = Array.from({ length: DUE_SHARDS }, (_, shard) => `due#${shard}`);

/** A key of the table, as plain text. */
export interface ItemKey {
  readonly pk: string;
  readonly sk: string;
}

/** DynamoDB's limits of a key, in bytes of UTF-8 (Amazon DynamoDB, Constraints: partition keys and sort keys). */
const LONGEST_PARTITION_KEY = 2048;
const LONGEST_SORT_KEY = 1024;

/** A tree of 2^53 records has a size of 16 digits; padded, sizes sort as numbers do. */
const SIZE_DIGITS = 16;

export const modulePartition = (path: string): string => `module#${path}`;
export const VERSION_PREFIX = "version#";
export const ORDER_PREFIX = "order#";

/** @throws MirrorError malformed where DynamoDB has no room for the name. */
export function versionKey({ path, version }: ModuleVersion): ItemKey {
  return checked({ pk: modulePartition(path), sk: `${VERSION_PREFIX}${version}` }, `${path}@${version}`);
}

/** One line for each version, event and hour: the newest. @throws as `versionKey`. */
export function journalKey(module: ModuleVersion, at: number, event: string): ItemKey {
  const name = formatModuleVersion(module);
  const pk = `${journalHour(at)}${shardOf(name, JOURNAL_SHARDS)}`;
  return checked({ pk, sk: `${name}#${event}` }, name);
}

const journalHour = (at: number): string => `journal#${utcHour(at)}#`;

/** The partitions of the journal that hold the lines of the hour of `at`. */
export function journalPartitions(at: number): string[] {
  return Array.from({ length: JOURNAL_SHARDS }, (_, shard) => `${journalHour(at)}${shard}`);
}

export const REQUESTS_PARTITION = "request";
export const requestKey = ({ name, time }: RequestKey): ItemKey => ({
  pk: REQUESTS_PARTITION,
  sk: `${name}#${time}`,
});
export const ordersPartition = ({ name, time }: RequestKey): string => `request#${name}#${time}`;
export const orderKey = (request: RequestKey, number: number): ItemKey => ({
  pk: ordersPartition(request),
  sk: `${ORDER_PREFIX}${number}`,
});
export const HEADS_PARTITION = "head";
export const headPrefix = (database: string): string => `${database}#`;
export const headKey = (database: string, size: number): ItemKey =>
  checked(
    { pk: HEADS_PARTITION, sk: `${headPrefix(database)}${String(size).padStart(SIZE_DIGITS, "0")}` },
    database,
  );
export const stopKey = (database: string): ItemKey => checked({ pk: "stop", sk: database }, database);
export const watermarkKey = (feed: string): ItemKey => checked({ pk: "watermark", sk: feed }, feed);
export const itemsPartition = (kind: string): string => `item#${kind}`;
export const itemKey = (kind: string, name: string): ItemKey =>
  checked({ pk: itemsPartition(kind), sk: name }, name);
export const workPartition = (feed: string): string => `open#${feed}`;
/** One of the counters of a feed's window; a record always counts in the same one. */
export const workKey = (feed: string, window: string, module: ModuleVersion): ItemKey => {
  const shard = shardOf(formatModuleVersion(module), WORK_SHARDS);
  return checked({ pk: workPartition(feed), sk: `${window}#${shard}` }, feed);
};
export const leaseKey = (name: string): ItemKey => checked({ pk: "lease", sk: name }, name);

/** The due index's partition of a version. */
export function dueShard({ pk, sk }: ItemKey): string {
  return `due#${shardOf(`${pk}\n${sk}`, DUE_SHARDS)}`;
}

export function stateShards(state: string): string[] {
  return Array.from({ length: STATE_SHARDS }, (_, shard) => `${state}#${shard}`);
}

/** The state index's partition of a version. */
export function stateShard(state: string, { pk, sk }: ItemKey): string {
  return `${state}#${shardOf(`${pk}\n${sk}`, STATE_SHARDS)}`;
}

/** `2026-11-23T08` for any ms of that hour. */
function utcHour(at: number): string {
  return new Date(at).toISOString().slice(0, 13);
}

function shardOf(text: string, shards: number): number {
  return createHash("sha256").update(text).digest().readUInt16BE(0) % shards;
}

function checked(key: ItemKey, subject: string): ItemKey {
  if (Buffer.byteLength(key.pk) <= LONGEST_PARTITION_KEY && Buffer.byteLength(key.sk) <= LONGEST_SORT_KEY)
    return key;
  const shown = subject.slice(0, 100);
  throw new MirrorError(
    "malformed",
    shown,
    `${shown}…: the name is longer than the ledger's keys (DynamoDB: 1,024 bytes)`,
  );
}
