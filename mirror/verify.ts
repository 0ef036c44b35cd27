import { h1OfGoMod } from "../gomod/dirhash.ts";
import { parseInfo } from "../gomod/info.ts";
import { parseVersionList } from "../gomod/list-file.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { Verifier } from "../sumdb/note.ts";
import { OfflineClient } from "../sumdb/offline-client.ts";
import { FULL_TILE_SIZE, type Tile } from "../sumdb/tile.ts";
import { openTreeHead } from "../sumdb/tree-head.ts";
import { asMirrorError } from "./errors.ts";
import { describeStop } from "./fork-stop.ts";
import type { Ledger, Tree, ZipChecker } from "./ports.ts";
import { LARGEST_LIST } from "./publish.ts";
import { LARGEST_GO_MOD, LARGEST_INFO } from "./store-files.ts";
import { LARGEST_LOOKUP } from "./stored-lookup.ts";
import {
  infoKey,
  lookupKey,
  modKey,
  parseTreeKey,
  supportedKey,
  type TreeEntry,
  tileKey,
  treeHeadKey,
  zipKey,
} from "./tree-keys.ts";
import { compareWithLedger, readRecords } from "./verify-ledger.ts";
import type { Finding, Seen, SeenVersion } from "./verify-seen.ts";
import { readExtents, TileVerifier } from "./verify-tiles.ts";
import { verifyVulndbFile } from "./verify-vulndb.ts";
import { parseVulndbKey } from "./vulndb-keys.ts";

export interface VerifyParts {
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly zips: ZipChecker;
  /** Keys of the databases whose proofs are checked; a database in the tree without one is a finding. */
  readonly verifiers: readonly Verifier[];
  /** Called for each file read, with its size. */
  readonly progress: (bytes: number) => void;
}

/**
 * Reads back and proves every file of a tree: zips and go.mods by h1 against the lookups, these as an offline go client
 * verifies them, lists against the files they name, and all against the ledger in both directions.
 */
export async function verifyMirror(parts: VerifyParts): Promise<{ files: number; findings: Finding[] }> {
  const records = await readRecords(parts.ledger);
  const extents = await readExtents(parts.ledger, parts.verifiers);
  const keys = new Map<string, number>();
  for await (const { key, size } of parts.tree.keys()) keys.set(key, size);
  const seen: Seen = { keys, versions: new Map(), listed: new Set(), findings: [] };
  const clients = await offlineClients(parts, seen);
  for (const [key, size] of keys) {
    const entry = parseTreeKey(key);
    if (parseVulndbKey(key) !== undefined) await verifyVulndbFile(parts.tree, key, seen);
    else if (entry === undefined)
      seen.findings.push({ subject: key, message: "no file of a GOPROXY tree; remove it" });
    else await verifyEntry(parts, entry, clients, seen);
    parts.progress(size);
  }
  for (const { tiles } of clients.values()) tiles.verifyExtents(extents);
  compareWithLookups(seen);
  await compareWithLedger(parts.ledger, records, seen);
  return { files: keys.size, findings: seen.findings };
}

interface DatabaseClient {
  readonly client: OfflineClient;
  readonly tiles: TileVerifier;
}

/** One go client without network for each database, which has already seen the tree's newest head. */
async function offlineClients(parts: VerifyParts, seen: Seen): Promise<Clients> {
  const clients = new Map<string, DatabaseClient>();
  for (const verifier of parts.verifiers) {
    const { name } = verifier;
    const stop = await parts.ledger.readStop(name);
    if (stop !== undefined)
      seen.findings.push({ subject: name, message: describeStop(stop).slice(`${name}: `.length) });
    const tree = {
      read: async (tile: Tile) => (await parts.tree.get(tileKey(name, tile), FULL_TILE_SIZE))?.bytes,
      lookup: async (version: ModuleVersion) =>
        (await parts.tree.get(lookupKey(name, version), LARGEST_LOOKUP))?.bytes,
    };
    const head = await parts.tree.get(treeHeadKey(name), LARGEST_LOOKUP);
    clients.set(name, {
      client: new OfflineClient({ verifier, tree, ...(head === undefined ? {} : { latest: head.bytes }) }),
      tiles: await TileVerifier.open(parts.tree, verifier, seen),
    });
  }
  return clients;
}

type Clients = ReadonlyMap<string, DatabaseClient>;

async function verifyEntry(
  parts: VerifyParts,
  entry: TreeEntry,
  clients: Clients,
  seen: Seen,
): Promise<void> {
  try {
    if (entry.kind === "zip") await verifyZip(parts, entry.key, entry.version, seen);
    else if (entry.kind === "lookup") await verifyLookup(entry, clients, seen);
    else if (entry.kind === "tile") await clients.get(entry.database)?.tiles.verify(entry);
    else await verifySmall(parts, entry, seen);
  } catch (thrown) {
    seen.findings.push({ subject: entry.key, message: asMirrorError(thrown, entry.key).message });
  }
}

async function verifyZip(
  parts: VerifyParts,
  key: Parameters<Tree["open"]>[0],
  version: ModuleVersion,
  seen: Seen,
): Promise<void> {
  const stored = await parts.tree.open(key);
  if (stored === undefined) return;
  try {
    versionSeen(seen, version).zip = (await parts.zips.checkStored(stored, version)).h1;
  } finally {
    await stored.close();
  }
}

async function verifyLookup(
  entry: Extract<TreeEntry, { kind: "lookup" }>,
  clients: Clients,
  seen: Seen,
): Promise<void> {
  const known = clients.get(entry.database);
  if (known === undefined) {
    const message = `the key of ${entry.database} is not known; give it with --sumdb`;
    seen.findings.push({ subject: entry.key, message });
    return;
  }
  const proven = await known.client.lookup(entry.version);
  const version = versionSeen(seen, entry.version);
  version.provenMod = proven.goMod;
  version.provenZip = proven.zip;
}

async function verifySmall(parts: VerifyParts, entry: TreeEntry, seen: Seen): Promise<void> {
  const stored = await parts.tree.get(entry.key, Math.max(LARGEST_GO_MOD, LARGEST_LIST));
  if (stored === undefined) return;
  switch (entry.kind) {
    case "mod":
      versionSeen(seen, entry.version).mod = h1OfGoMod(stored.bytes);
      return;
    case "info":
      parseInfo(stored.bytes.subarray(0, LARGEST_INFO), entry.version.version);
      versionSeen(seen, entry.version).info = true;
      return;
    case "latest":
      requireWhole(
        seen,
        { path: entry.path, version: parseInfo(stored.bytes.subarray(0, LARGEST_INFO)).version },
        entry.key,
      );
      return;
    case "list":
      for (const version of parseVersionList(stored.bytes).versions) {
        seen.listed.add(formatModuleVersion({ path: entry.path, version }));
        requireWhole(seen, { path: entry.path, version }, entry.key);
      }
      return;
    case "treeHead": {
      const verifier = parts.verifiers.find((known) => known.name === entry.database);
      if (verifier !== undefined) openTreeHead(stored.bytes, verifier);
      if (seen.keys.has(supportedKey(entry.database))) return;
      seen.findings.push({
        subject: supportedKey(entry.database),
        message: "missing: clients do not ask this tree; where its tiles are still being filled, sync again",
      });
    }
  }
}

function versionSeen(seen: Seen, version: ModuleVersion): SeenVersion {
  const name = formatModuleVersion(version);
  const known = seen.versions.get(name) ?? { version };
  seen.versions.set(name, known);
  return known;
}

/** What a list or `@latest` names must be there whole. */
function requireWhole(seen: Seen, version: ModuleVersion, namedBy: string): void {
  for (const key of [infoKey(version), modKey(version), zipKey(version)]) {
    if (!seen.keys.has(key))
      seen.findings.push({ subject: key, message: `missing, although ${namedBy} names it` });
  }
}

const remedy = (version: ModuleVersion): string => `remove it and sync ${formatModuleVersion(version)} again`;

function compareWithLookups(seen: Seen): void {
  for (const { version, mod, zip, provenMod, provenZip } of seen.versions.values()) {
    for (const [key, actual, proven] of [
      [modKey(version), mod, provenMod],
      [zipKey(version), zip, provenZip],
    ] as const) {
      if (actual === undefined || proven === undefined || actual === proven) continue;
      seen.findings.push({
        subject: key,
        message: `has ${actual}, the checksum database says ${proven}; ${remedy(version)}`,
      });
    }
  }
}
