import { type H1, h1OfGoMod } from "../../gomod/dirhash.ts";
import { parseInfo } from "../../gomod/info.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import type { OfflineClient } from "../../sumdb/offline-client.ts";
import { type Sha256, sha256Of } from "../body.ts";
import { asMirrorError } from "../errors.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { StoredObject, Tree } from "../ports.ts";
import type { VersionRecord } from "../records.ts";
import { LARGEST_GO_MOD, LARGEST_INFO } from "../store-files.ts";
import { filesOf } from "../stored-files.ts";
import { infoKey, lookupKey, modKey, type TreeKey, zipKey } from "../tree-keys.ts";
import type { ScrubFinding } from "./finding.ts";

/** Hashes stored zips, perhaps on other threads. */
export interface ZipHasher {
  /** How many at a time are worth it. */
  readonly threads: number;
  /** @throws FormatError as gomod/zip-check.ts, MirrorError where it cannot be read. */
  hash(stored: StoredObject, version: ModuleVersion): Promise<{ readonly h1: H1; readonly sha256: Sha256 }>;
}

export interface ContentParts {
  readonly tree: Pick<Tree, "get" | "open" | "checksum">;
  readonly zips: ZipHasher;
  /** By database, a go client without network that has seen the tree's newest head. */
  readonly clients: ReadonlyMap<string, Pick<OfflineClient, "lookup">>;
  /** Told of each file, with the bytes read of it: none where the store itself kept the checksum. */
  readonly progress: (bytes: number) => void;
}

type Found = Omit<ScrubFinding, "repair"> & { readonly subject: TreeKey };

/** The SHA-256 of each file that is held of a version, as the store keeps it, else of the content, against the ledger's. */
export async function checkStored(
  parts: ContentParts,
  record: VersionRecord,
): Promise<readonly ScrubFinding[]> {
  const found: Found[] = [];
  for (const { key, sha256 } of filesOf(record)) {
    if (sha256 === undefined) continue;
    const actual = await checksumOf(parts, key);
    if (actual === undefined) found.push(missing(record, key));
    else if (actual !== sha256) found.push(damaged(key, `has SHA-256 ${actual}, but ${sha256} was stored`));
  }
  return repairable(record, found);
}

async function checksumOf(parts: ContentParts, key: TreeKey): Promise<Sha256 | undefined> {
  if (parts.tree.checksum !== undefined) {
    const kept = await parts.tree.checksum(key);
    if (kept === undefined) return undefined;
    if (kept.sha256 !== undefined) {
      parts.progress(0);
      return kept.sha256;
    }
  }
  const stored = await parts.tree.open(key);
  if (stored === undefined) return undefined;
  try {
    const sha256 = await sha256OfObject(stored);
    parts.progress(stored.size);
    return sha256;
  } finally {
    await stored.close();
  }
}

/** Reads all that is held of a version: h1 of `.mod` and zip against the ledger and the proven lookups. */
export async function checkDeep(
  parts: ContentParts,
  record: VersionRecord,
): Promise<readonly ScrubFinding[]> {
  const whole = record.held === "whole";
  const found = await Promise.all([
    checkMod(parts, record),
    ...(whole || record.infoSha256 !== undefined ? [checkInfo(parts, record)] : []),
    ...(whole ? [checkZip(parts, record)] : []),
    ...Object.keys(record.sumdbRecords ?? {}).map((database) => checkLookup(parts, record, database)),
  ]);
  return repairable(
    record,
    found.filter((finding) => finding !== undefined),
  );
}

async function checkMod(parts: ContentParts, record: VersionRecord): Promise<Found | undefined> {
  const key = modKey(record);
  const stored = await read(parts, key, LARGEST_GO_MOD);
  if (!(stored instanceof Uint8Array))
    return stored === undefined ? missing(record, key) : damaged(key, stored.problem);
  const h1 = h1OfGoMod(stored);
  if (record.modH1 !== undefined && h1 !== record.modH1)
    return damaged(key, `has ${h1}, the ledger says ${record.modH1}`);
  return differs(key, sha256Of(stored), record.modSha256);
}

async function checkInfo(parts: ContentParts, record: VersionRecord): Promise<Found | undefined> {
  const key = infoKey(record);
  const stored = await read(parts, key, LARGEST_INFO);
  if (!(stored instanceof Uint8Array))
    return stored === undefined ? missing(record, key) : damaged(key, stored.problem);
  try {
    parseInfo(stored, record.version);
  } catch (thrown) {
    return damaged(key, asMirrorError(thrown, key).message);
  }
  return differs(key, sha256Of(stored), record.infoSha256);
}

async function checkZip(parts: ContentParts, record: VersionRecord): Promise<Found | undefined> {
  const key = zipKey(record);
  const stored = await parts.tree.open(key);
  if (stored === undefined) return missing(record, key);
  try {
    const { h1, sha256 } = await parts.zips.hash(stored, record);
    parts.progress(stored.size);
    if (record.zipH1 !== undefined && h1 !== record.zipH1)
      return damaged(key, `has ${h1}, the ledger says ${record.zipH1}`);
    return differs(key, sha256, record.zipSha256);
  } catch (thrown) {
    const error = asMirrorError(thrown, key);
    if (error.class !== "malformed") throw error;
    return damaged(key, error.message);
  } finally {
    await stored.close();
  }
}

async function checkLookup(
  parts: ContentParts,
  record: VersionRecord,
  database: string,
): Promise<Found | undefined> {
  const client = parts.clients.get(database);
  if (client === undefined) return undefined;
  const key = lookupKey(database, record);
  try {
    const proven = await client.lookup(record);
    parts.progress(0);
    for (const [file, by, ours] of [
      ["go.mod", proven.goMod, record.modH1],
      ["zip", proven.zip, record.zipH1],
    ] as const)
      if (ours !== undefined && by !== ours)
        return damaged(key, `says that the ${file} is ${by}, the ledger says ${ours}`);
    return undefined;
  } catch (thrown) {
    const error = asMirrorError(thrown, key);
    if (error.class === "transient") throw error;
    if (error.message.includes("its lookup is missing")) return missing(record, key);
    // The tiles are looked at on their own (tile-check.ts); here, what is wrong is said of the lookup that shows it.
    return damaged(key, error.message);
  }
}

async function read(
  { tree, progress }: ContentParts,
  key: TreeKey,
  limit: number,
): Promise<Uint8Array | { readonly problem: string } | undefined> {
  try {
    const stored = await tree.get(key, limit);
    if (stored !== undefined) progress(stored.bytes.byteLength);
    return stored?.bytes;
  } catch (thrown) {
    const error = asMirrorError(thrown, key);
    if (error.class !== "malformed") throw error;
    return { problem: error.message };
  }
}

function missing(record: VersionRecord, key: TreeKey): Found {
  return {
    kind: "missing",
    subject: key,
    message: `missing, although the ledger holds ${formatModuleVersion(record)}`,
  };
}

const damaged = (key: TreeKey, message: string): Found => ({ kind: "damaged", subject: key, message });

function differs(key: TreeKey, actual: Sha256, stored: Sha256 | undefined): Found | undefined {
  if (stored === undefined || actual === stored) return undefined;
  return damaged(key, `has SHA-256 ${actual}, but ${stored} was stored`);
}

function repairable({ path, version }: VersionRecord, found: readonly Found[]): readonly ScrubFinding[] {
  return found.map((finding) => ({
    ...finding,
    repair: { version: { path, version }, key: finding.subject },
  }));
}
