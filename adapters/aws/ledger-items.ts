import { z } from "zod";
import { parseModuleVersion } from "../../gomod/version.ts";
import { printItemValue } from "../../mirror/item-size.ts";
import type {
  JournalEntry,
  JournalEvent,
  LedgerItem,
  OpenWork,
  Stop,
  Watermark,
} from "../../mirror/ledger-entries.ts";
import { requestName, requestTime } from "../../mirror/orders.ts";
import { type RequestRecord, type RequestState, tier } from "../../mirror/requests.ts";
import { HASH_SIZE } from "../../sumdb/tlog.ts";
import type { SignedHead } from "../../sumdb/tree-head.ts";
import { type Item, toItem } from "./attribute-values.ts";
import { count, due, key, parsed, revision, sha256 } from "./item-fields.ts";
import {
  DUE_REQUESTS,
  headKey,
  journalKey,
  itemKey as ledgerItemKey,
  requestKey,
  stopKey,
  watermarkKey,
} from "./ledger-table.ts";

/** A member that is added to the union does not compile until it is added here. */
const requestState = z.enum({
  OPEN: "OPEN",
  RESOLVED: "RESOLVED",
  DONE: "DONE",
  INCOMPLETE: "INCOMPLETE",
  REFUSED: "REFUSED",
  ENDED: "ENDED",
} satisfies { [S in RequestState]: S });

const requestItem = z.strictObject({
  ...key,
  ...due,
  revision,
  state: requestState,
  tier,
  total: count,
  missing: count,
  error: z.exactOptional(z.string()),
  tries: z.exactOptional(count),
  endedAt: z.exactOptional(z.int()),
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
  event: z.enum({
    held: "held",
    listed: "listed",
    blocked: "blocked",
    unblocked: "unblocked",
    removed: "removed",
    revived: "revived",
    changed: "changed",
  } satisfies { [E in JournalEvent]: E }),
  at: z.int(),
});

export function printRequest(record: RequestRecord): Item {
  const { name, time, ...fields } = record;
  const shard = record.due === undefined ? undefined : DUE_REQUESTS;
  return toItem({ ...requestKey({ name, time }), ...fields, dueShard: shard });
}

/** @throws MirrorError malformed naming the item, here and below. */
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
  return toItem({ ...journalKey(version, at, event), event, at });
}

export function parseJournalEntry(item: Item): JournalEntry {
  return parsed(journalItem, item, ({ sk, event, at }) => {
    // Earlier lines were named by the version alone; no version has a `#`.
    const end = sk.lastIndexOf("#");
    return { event, version: parseModuleVersion(end < 0 ? sk : sk.slice(0, end)), at };
  });
}
