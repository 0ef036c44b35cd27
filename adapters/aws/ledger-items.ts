import { z } from "zod";
import { isH1 } from "../../gomod/dirhash.ts";
import { moduleVersion, parseModuleVersion } from "../../gomod/version.ts";
import type { Sha256 } from "../../mirror/body.ts";
import { type ErrorClass, MirrorError } from "../../mirror/errors.ts";
import { printItemValue } from "../../mirror/item-size.ts";
import { requestName, requestTime } from "../../mirror/orders.ts";
import type { JournalEntry, LedgerItem, OpenWork, Stop, Watermark } from "../../mirror/ports.ts";
import type { Extent, State, VersionRecord } from "../../mirror/records.ts";
import { type RequestRecord, type RequestState, tier } from "../../mirror/requests.ts";
import { HASH_SIZE } from "../../sumdb/tlog.ts";
import type { SignedHead } from "../../sumdb/tree-head.ts";
import { fromItem, type Item, type Plain, toItem } from "./attribute-values.ts";
import {
  DUE_REQUESTS,
  dueShard,
  headKey,
  type ItemKey,
  journalKey,
  itemKey as ledgerItemKey,
  modulePartition,
  requestKey,
  stateShard,
  stopKey,
  VERSION_PREFIX,
  versionKey,
  watermarkKey,
} from "./ledger-table.ts";

/** `z.enum` of every member of a union: a member that is added there does not compile until it is added here. */
const extent = z.enum({ mod: "mod", whole: "whole" } satisfies { [E in Extent]: E });
const state = z.enum({
  PENDING: "PENDING",
  READY: "READY",
  FAILED: "FAILED",
  BROKEN: "BROKEN",
  WITHHELD: "WITHHELD",
  GONE: "GONE",
  HELD: "HELD",
  DENIED: "DENIED",
  BLOCKED: "BLOCKED",
  CONFLICT: "CONFLICT",
} satisfies { [S in State]: S });
const errorClass = z.enum({
  transient: "transient",
  unauthorized: "unauthorized",
  withheld: "withheld",
  malformed: "malformed",
  absent: "absent",
  mismatch: "mismatch",
  stopped: "stopped",
  denied: "denied",
  misuse: "misuse",
} satisfies { [C in ErrorClass]: C });
const requestState = z.enum({
  OPEN: "OPEN",
  RESOLVED: "RESOLVED",
  DONE: "DONE",
  INCOMPLETE: "INCOMPLETE",
  REFUSED: "REFUSED",
} satisfies { [S in RequestState]: S });

const count = z.int().min(0);
const revision = z.int().min(1);
const h1 = z.string().refine(isH1);
const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => text as Sha256);
const key = { pk: z.string(), sk: z.string() };
const due = { due: z.exactOptional(z.int()), dueShard: z.exactOptional(z.string()) };

const recordItem = z.strictObject({
  ...key,
  ...due,
  revision,
  state,
  wanted: extent,
  held: z.union([extent, z.literal("nothing")]),
  wantedAt: z.int(),
  firstSeen: z.int(),
  wish: z.string(),
  feed: z.exactOptional(z.string()),
  feedTime: z.exactOptional(z.string()),
  rule: z.exactOptional(z.string()),
  stateShard: z.exactOptional(z.string()),
  listed: z.boolean(),
  modH1: z.exactOptional(h1),
  zipH1: z.exactOptional(h1),
  modSha256: z.exactOptional(sha256),
  zipSha256: z.exactOptional(sha256),
  infoSha256: z.exactOptional(sha256),
  modSize: z.exactOptional(count),
  zipSize: z.exactOptional(count),
  time: z.exactOptional(z.string()),
  sumdbRecords: z.exactOptional(z.record(z.string(), count)),
  /** As it was written while a mirror had one database. */
  sumdbRecord: z.exactOptional(z.strictObject({ database: z.string(), id: count })),
  attempts: count,
  failingSince: z.exactOptional(z.int()),
  lastError: z.exactOptional(z.strictObject({ class: errorClass, message: z.string() })),
});
const requestItem = z.strictObject({
  ...key,
  ...due,
  revision,
  state: requestState,
  tier,
  total: count,
  missing: count,
  error: z.exactOptional(z.string()),
});
const watermarkItem = z.strictObject({
  ...key,
  timestamp: z.string(),
  cursor: z.exactOptional(z.string()),
  revision,
});
const headItem = z.strictObject({
  ...key,
  hash: z.instanceof(Uint8Array).refine((hash) => hash.byteLength === HASH_SIZE),
  note: z.instanceof(Uint8Array),
});
const stopItem = z.strictObject({ ...key, at: z.int(), evidence: sha256 });
const ledgerItem = z.strictObject({ ...key, revision, value: z.string() });
const jsonObject = z.record(z.string(), z.unknown());
const openWorkItem = z.strictObject({ ...key, open: z.int() });
const journalItem = z.strictObject({
  ...key,
  event: z.enum(["held", "listed", "blocked", "unblocked"]),
  at: z.int(),
});

export function printRecord(record: VersionRecord): Item {
  const { path, version, ...fields } = record;
  const itemKey = versionKey({ path, version });
  return toItem({
    ...itemKey,
    ...fields,
    dueShard: record.due === undefined ? undefined : dueShard(itemKey),
    stateShard: record.state === "READY" ? undefined : stateShard(record.state, itemKey),
  });
}

/** @throws MirrorError malformed naming the item, here and below. */
export function parseRecord(item: Item): VersionRecord {
  return parsed(
    recordItem,
    item,
    ({ pk, sk, dueShard: _due, stateShard: _state, sumdbRecord, ...fields }) => {
      const module = moduleVersion(after(pk, modulePartition("")), after(sk, VERSION_PREFIX));
      const earlier = sumdbRecord && { sumdbRecords: { [sumdbRecord.database]: sumdbRecord.id } };
      return { ...module, ...earlier, ...fields };
    },
  );
}

export function printRequest(record: RequestRecord): Item {
  const { name, time, ...fields } = record;
  const shard = record.due === undefined ? undefined : DUE_REQUESTS;
  return toItem({ ...requestKey({ name, time }), ...fields, dueShard: shard });
}

export function parseRequest(item: Item): RequestRecord {
  return parsed(requestItem, item, ({ pk: _pk, sk, dueShard: _shard, ...fields }) => {
    const [name, time] = sk.split("#", 2);
    return { name: requestName.parse(name), time: requestTime.parse(time), ...fields };
  });
}

export function printWatermark({ feed, ...fields }: Watermark): Item {
  return toItem({ ...watermarkKey(feed), ...fields });
}

export function parseWatermark(item: Item): Watermark {
  return parsed(watermarkItem, item, ({ pk: _pk, sk, ...fields }) => ({ feed: sk, ...fields }));
}

export function printHead(database: string, { size, hash, note }: SignedHead): Item {
  return toItem({ ...headKey(database, size), hash, note });
}

export function parseHead(item: Item): SignedHead {
  return parsed(headItem, item, ({ sk, hash, note }) => ({
    size: count.parse(Number(sk.slice(sk.lastIndexOf("#") + 1))),
    hash: Buffer.from(hash),
    note,
  }));
}

export function printStop({ database, ...fields }: Stop): Item {
  return toItem({ ...stopKey(database), ...fields });
}

export function parseStop(item: Item): Stop {
  return parsed(stopItem, item, ({ pk: _pk, sk, ...fields }) => ({ database: sk, ...fields }));
}

/** A small item beside the records, its value as JSON: nothing in it is ever searched for. */
export function printLedgerItem(item: LedgerItem): Item {
  return toItem({
    ...ledgerItemKey(item.kind, item.name),
    revision: item.revision,
    value: printItemValue(item),
  });
}

export function parseLedgerItem(kind: LedgerItem["kind"], item: Item): LedgerItem {
  return parsed(ledgerItem, item, ({ sk, revision, value }) => {
    return { kind, name: sk, revision, value: jsonObject.parse(JSON.parse(value)) };
  });
}

/** One counter of a window's open work; several make up the window. */
export function parseOpenWork(item: Item): OpenWork {
  return parsed(openWorkItem, item, ({ sk, open }) => ({ window: sk.slice(0, sk.lastIndexOf("#")), open }));
}

export function printJournalEntry({ event, version, at }: JournalEntry): Item {
  return toItem({ ...journalKey(version, at), event, at });
}

export function parseJournalEntry(item: Item): JournalEntry {
  return parsed(journalItem, item, ({ sk, event, at }) => ({ event, version: parseModuleVersion(sk), at }));
}

/** The key of an item, as the due index gives it. */
export function parseItemKey(item: Item): ItemKey {
  return { pk: item.pk?.S ?? "", sk: item.sk?.S ?? "" };
}

/** How an item is named in messages: `module#example.com/a version#v1.0.0`. */
function nameOf(item: Item): string {
  const { pk, sk } = parseItemKey(item);
  if (pk.startsWith("module#") && sk.startsWith(VERSION_PREFIX)) {
    return `${pk.slice("module#".length)}@${sk.slice(VERSION_PREFIX.length)}`;
  }
  return `${pk} ${sk}`;
}

function after(text: string, prefix: string): string {
  if (!text.startsWith(prefix)) throw new TypeError(`${text}: must begin with ${prefix}`);
  return text.slice(prefix.length);
}

function parsed<Shape extends z.ZodType, T>(
  shape: Shape,
  item: Item,
  make: (fields: z.output<Shape>) => T,
): T {
  try {
    const fields: Record<string, Plain> = fromItem(item);
    return make(shape.parse(fields));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const problem = issue ? [...issue.path, issue.message].join(": ") : (cause as Error).message;
    const name = nameOf(item);
    throw new MirrorError(
      "malformed",
      name,
      `${name}: the ledger's item is not one of this mirror's: ${problem}`,
      { cause },
    );
  }
}
