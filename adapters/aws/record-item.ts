import { z } from "zod";
import { isH1 } from "../../gomod/dirhash.ts";
import { moduleVersion } from "../../gomod/version.ts";
import type { ErrorClass } from "../../mirror/errors.ts";
import type { Extent, State, VersionRecord } from "../../mirror/records.ts";
import { type Item, toItem } from "./attribute-values.ts";
import { count, due, key, parsed, revision, sha256 } from "./item-fields.ts";
import { dueShard, modulePartition, stateShard, VERSION_PREFIX, versionKey } from "./ledger-table.ts";

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
  REMOVING: "REMOVING",
  REMOVED: "REMOVED",
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
const h1 = z.string().refine(isH1);

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
  awaited: z.exactOptional(z.literal(true)),
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
  removedAt: z.exactOptional(z.int()),
  removal: z.exactOptional(
    z.strictObject({
      since: z.int(),
      keeps: z.exactOptional(z.literal("mod")),
      deleting: z.exactOptional(z.int()),
      wanted: z.exactOptional(extent),
    }),
  ),
});

/** A version's record as an item, with the shards of the indexes that it is in. */
export function printRecord(record: VersionRecord): Item {
  const { path, version, ...fields } = record;
  const itemKey = versionKey({ path, version });
  return toItem({
    ...itemKey,
    ...fields,
    removal: record.removal && { ...record.removal },
    dueShard: record.due === undefined ? undefined : dueShard(itemKey),
    stateShard: record.state === "READY" ? undefined : stateShard(record.state, itemKey),
  });
}

/** @throws MirrorError malformed naming the item. */
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

function after(text: string, prefix: string): string {
  if (!text.startsWith(prefix)) throw new TypeError(`${text}: must begin with ${prefix}`);
  return text.slice(prefix.length);
}
