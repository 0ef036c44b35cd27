import type { ModulePath } from "../gomod/module-path.ts";
import type { ModuleVersion } from "../gomod/version.ts";
import type { CheckedZip } from "../gomod/zip-check.ts";
import type { SumdbSource } from "../sumdb/client.ts";
import type { SignedHead } from "../sumdb/tree-head.ts";
import type { Body, Sha256 } from "./body.ts";
import type {
  JournalEntry,
  LedgerItem,
  OpenWork,
  RecordChange,
  StateCount,
  Stop,
  Watermark,
} from "./ledger-entries.ts";
import type { Order, QueueName, RequestKey } from "./orders.ts";
import type { State, VersionRecord } from "./records.ts";
import type { RequestRecord } from "./requests.ts";
import type { TreeKey } from "./tree-keys.ts";

/** A record's place among those of its state. */
export type WantedPlace = Pick<VersionRecord, "path" | "version" | "wantedAt">;

/** What a store says of an object that it holds. */
export interface StoredObject {
  readonly size: number;
  /** Strong: two different contents never share it. Opaque; quotes are the server's business. */
  readonly etag: string;
  /** Reads `length` bytes at `offset`; fewer only at the end. A ZipSource is one of these. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** As `read`, into memory that is there: as many bytes as are at hand, 0 at the end; absent where it gains nothing. */
  readInto?(offset: number, room: Uint8Array): Promise<number>;
  /** The whole content, or bytes `start` to `end` (both inclusive) of it. */
  stream(range?: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  /** Gives back what the object holds open; safe to call twice. */
  close(): Promise<void>;
}

/** An object that is to be created. */
export interface TreeObject {
  readonly key: TreeKey;
  readonly body: Body;
  readonly sha256: Sha256;
}

/**
 * Where clients read. Every write is conditional: a tree never changes what it has served. All methods throw
 * MirrorError transient when the store does not answer or the outcome is unknown; calling again is then safe.
 */
export interface Tree {
  /**
   * Stores `body` under `key` unless the key is there: of two calls at once one wins, a reader sees all of it or
   * nothing, and it is durable on return. A crash leaves all or nothing under the key, at most a stray temporary
   * file elsewhere.
   * @param sha256 of the body; the store refuses other bytes with MirrorError transient (damaged on the way).
   */
  create(key: TreeKey, body: Body, sha256: Sha256): Promise<"created" | "exists">;
  /**
   * As `create` for each of these, begun in their order; all are durable on return. A crash leaves any of them, each all or
   * nothing. Absent in a tree that gains nothing by it.
   */
  readonly createAll?: (objects: readonly TreeObject[]) => Promise<("created" | "exists")[]>;
  /**
   * Replaces a mutable object (list, @latest, the tree head), or in a copy of a tree any that differs, if it still is what
   * was read: a reader sees the one or the other whole, and never none.
   * @param previous the ETag that was read; undefined when there was no such object.
   * @returns `changed` when another writer was first: read again and start over.
   */
  replace(key: TreeKey, body: Body, previous: string | undefined): Promise<"replaced" | "changed">;
  /**
   * Removes an object that a block takes out, or `@latest` of a module of which nothing is listed any more, if it still
   * is what was read; durable on return.
   * @param previous the ETag that was read.
   * @returns `removed` also when there is no such object; `changed` when it is another one by now.
   */
  remove(key: TreeKey, previous: string): Promise<"removed" | "changed">;
  /** The whole of a small object; undefined when there is none. Throws MirrorError malformed above `limit` bytes. */
  get(
    key: TreeKey,
    limit: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly etag: string } | undefined>;
  /** As `get`, of any size and without the ETag, where that costs something. */
  readonly content?: (key: TreeKey) => Promise<Uint8Array | undefined>;
  /** An object to be read in parts; undefined when there is none. */
  open(key: TreeKey): Promise<StoredObject | undefined>;
  /**
   * Every key behind `after` (from the first on without it) with its size, sorted by its UTF-8 bytes; what is written
   * meanwhile may or may not appear.
   */
  keys(after?: string): AsyncIterable<{ readonly key: string; readonly size: number }>;
  /**
   * The SHA-256 that the store itself keeps of an object since it was written, without reading it; `sha256` is undefined
   * where it keeps none of this one, the whole where there is no such object. Absent in a tree whose store keeps none.
   */
  readonly checksum?: (
    key: TreeKey,
  ) => Promise<{ readonly size: number; readonly sha256: Sha256 | undefined } | undefined>;
  /** A URL that lets a client read this object for `seconds`; undefined where the tree has no such thing. */
  link(key: TreeKey, seconds: number): Promise<string | undefined>;
}

/** The mirror's own storage, never served. Keys are made by `mirror/` alone (vault-keys.ts). */
export interface Vault {
  /** Stores or overwrites; durable on return, all or nothing for readers. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** undefined when there is none. Throws MirrorError malformed above `limit` bytes. */
  get(key: string, limit: number): Promise<Uint8Array | undefined>;
  /** Keys below a prefix that ends in `/`, sorted by bytes. */
  keys(prefix: string): AsyncIterable<string>;
  /**
   * Stores `body` under `key` unless the key is there, as `Tree.create` does: of two calls at once one wins, readers see
   * all or nothing, durable on return; a crash leaves all or nothing under the key.
   * @param sha256 of the body; other bytes are refused with MirrorError transient (damaged on the way).
   */
  create(key: string, body: Body, sha256: Sha256): Promise<"created" | "exists">;
  /** An object to be read in parts; undefined when there is none. The caller closes it. */
  open(key: string): Promise<StoredObject | undefined>;
  /** Removes it whatever it holds; nothing where there is none. Durable on return. */
  remove(key: string): Promise<void>;
}

/**
 * Records and watermarks. Reads of keys are strongly consistent; `due…` may lag (an index) and may name what is no
 * longer due: the caller reads the record again. All methods throw MirrorError transient when the outcome is unknown.
 */
export interface Ledger {
  /** In the order asked; undefined where there is none. Any number of keys. */
  read(versions: readonly ModuleVersion[]): Promise<(VersionRecord | undefined)[]>;
  /** All records of one module, in no promised order. */
  readModule(path: ModulePath): Promise<VersionRecord[]>;
  /**
   * Each change is atomic with its journal line, and independent of the others: a crash leaves each done or not.
   * Durable on return.
   * @returns one per change, in order: what is stored now, with its new revision, or `changed` when another
   * writer was first: read again and decide anew.
   */
  write(changes: readonly RecordChange[]): Promise<(VersionRecord | "changed")[]>;
  /**
   * Deletes those of these records whose stored revision is theirs, each on its own; the journal stays. Only for what is
   * REMOVED: no list, no snapshot and no request has it. Durable on return.
   * @returns how many are gone by this call.
   */
  forget(records: readonly VersionRecord[]): Promise<number>;
  /**
   * Every record, in an order of the ledger's own, which stays the same; from behind `after` on, which it has given before.
   * What is written meanwhile may or may not appear.
   */
  records(after?: ModuleVersion): AsyncIterable<VersionRecord>;
  /**
   * Journal lines with `from <= at < to` (ms since the epoch), strongly consistent; by growing UTC hour, in no promised
   * order within one. Of a version at least the newest line of each event in each hour. Lines are written with the
   * writer's own clock in `at`, and become visible with their record: a line of this moment may still come.
   * @param from not far back, and `to` finite: in DynamoDB each hour between costs four queries.
   */
  journal(from: number, to: number): AsyncIterable<JournalEntry>;
  /** Records whose `due` is at or before `before`, soonest first as far as the index goes, at most `limit`. */
  due(before: number, limit: number): Promise<VersionRecord[]>;

  /**
   * Records in a state other than READY, the longest wanted first, from behind `after` on. From an index that may lag:
   * each is read again, and is left out where it is in that state no more.
   */
  inState(
    state: State,
    page: { readonly limit: number; readonly after?: WantedPlace },
  ): Promise<VersionRecord[]>;
  /** How many are in a state other than READY; from the same index. */
  countState(state: State): Promise<StateCount>;
  /**
   * The windows of a feed in which records are at work, by their names' bytes; only those that sort before `before`, where
   * that is given. Strongly consistent.
   */
  openWork(feed: string, before?: string): AsyncIterable<OpenWork>;
  /**
   * Forgets the counts of a feed's windows before `before` in which nothing is at work, so that openWork need not pass them;
   * perhaps not all of them at once. Loses no count that is taken meanwhile.
   */
  forgetWork(feed: string, before: string): Promise<void>;

  readItem(kind: LedgerItem["kind"], name: string): Promise<LedgerItem | undefined>;
  /** As `write`: only if the stored revision is the item's. Throws MirrorError misuse above LARGEST_ITEM. */
  writeItem(item: LedgerItem): Promise<LedgerItem | "changed">;
  /** Deletes it if the stored revision is the item's. @returns whether it is gone by this call. */
  deleteItem(item: LedgerItem): Promise<boolean>;
  /** All of a kind, by name's bytes. */
  items(kind: LedgerItem["kind"]): AsyncIterable<LedgerItem>;

  readRequest(key: RequestKey): Promise<RequestRecord | undefined>;
  /** As `write`: only if the stored revision is the one in `record`. */
  writeRequest(record: RequestRecord): Promise<RequestRecord | "changed">;
  /** Deletes a request, with what it waits for, if the stored revision is the record's. @returns whether by this call. */
  forgetRequest(record: RequestRecord): Promise<boolean>;
  /** Every request. In no promised order. */
  requests(): AsyncIterable<RequestRecord>;
  /** Requests whose `due` is at or before `before`, at most `limit`. */
  dueRequests(before: number, limit: number): Promise<RequestRecord[]>;
  /** Notes that a request waits for these orders; idempotent. */
  openOrders(request: RequestKey, numbers: readonly number[]): Promise<void>;
  /** Strikes an order off; idempotent. @returns how many are still open, at least whether it is zero. */
  closeOrder(request: RequestKey, number: number): Promise<{ readonly open: number }>;

  /** The newest head that we published of a checksum database. */
  readHead(database: string): Promise<SignedHead | undefined>;
  /** Adds a published head; idempotent; heads are never removed. */
  addHead(database: string, head: SignedHead): Promise<void>;
  /** Every head that we ever published of it, by growing size. */
  heads(database: string): AsyncIterable<SignedHead>;

  /** Why nothing more of a checksum database is published; undefined where it may be. Strongly consistent. */
  readStop(database: string): Promise<Stop | undefined>;
  /** Stops it; the first stop stays until it is lifted. Durable on return. */
  writeStop(stop: Stop): Promise<void>;
  /** Lifts this stop; idempotent; another one, for other evidence, stays. */
  liftStop(stop: Stop): Promise<void>;

  readWatermark(feed: string): Promise<Watermark | undefined>;
  /** As `write`. */
  moveWatermark(watermark: Watermark): Promise<Watermark | "changed">;

  /** Takes or renews a lease until `until` (ms since the epoch) if it is free, run out at `now`, or ours. */
  takeLease(name: string, owner: string, now: number, until: number): Promise<boolean>;
  /** Gives it back if it is ours. */
  releaseLease(name: string, owner: string): Promise<void>;
}

/** Sends orders; at least once, in no promised order. Durable on return in the cloud; in memory when embedded. */
export interface Queue {
  send(queue: QueueName, orders: readonly Order[]): Promise<void>;
}

/**
 * A GOPROXY that we fetch from. Hostile: replies are bounded in size and time but otherwise raw. Throws MirrorError:
 * absent (404, 410), withheld (403, 451, 400 while the upstream's probe passes), unauthorized (401, or 403 on the
 * probe), transient (after its retries), malformed (too large, cut, or not what the path must give).
 */
export interface Upstream {
  /** For messages: scheme, host and path, without user-info. */
  readonly name: string;
  list(path: ModulePath): Promise<Uint8Array>;
  latest(path: ModulePath): Promise<Uint8Array>;
  info(version: ModuleVersion): Promise<Uint8Array>;
  mod(version: ModuleVersion): Promise<Uint8Array>;
  /** In memory up to SPOOL_LIMIT, else spooled: the caller disposes of it. */
  zip(version: ModuleVersion): Promise<Body>;
  /** The checksum database through this upstream's `/sumdb/<name>/`. */
  sumdb(database: string): SumdbSource;
}

/** Computes h1 and checks a zip, perhaps on another thread; see gomod/zip-check.ts for what it throws. */
export interface ZipChecker {
  check(body: Body, version: ModuleVersion): Promise<CheckedZip>;
  checkStored(stored: StoredObject, version: ModuleVersion): Promise<CheckedZip>;
}

/** Milliseconds since the epoch. */
export type Clock = () => number;
