import { type H1, h1OfGoMod } from "../../gomod/dirhash.ts";
import { parseInfo } from "../../gomod/info.ts";
import { TOOLCHAIN_MODULE } from "../../gomod/toolchain-version.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { type Block, ruleOfBlock } from "../blocks.ts";
import { sha256Of } from "../body.ts";
import { asMirrorError, MirrorError } from "../errors.ts";
import { ERROR_BYTES } from "../failed-record.ts";
import { firstBytes } from "../first-bytes.ts";
import type { StoredObject, Tree } from "../ports.ts";
import type { VersionRecord } from "../records.ts";
import type { ZipHasher } from "../scrub/content-check.ts";
import { LARGEST_GO_MOD, LARGEST_INFO } from "../store-files.ts";
import { infoKey, modKey, type TreeKey, zipKey } from "../tree-keys.ts";

/** What a version's lookup in the tree proves of it, by database; none where the tree has no lookup. */
export interface TreeProof {
  readonly database: string;
  readonly id: number;
  readonly modH1: H1;
  readonly zipH1: H1;
}

export interface RebuildVersion {
  readonly version: ModuleVersion;
  /** Of its keys, those that the tree has. */
  readonly has: ReadonlySet<string>;
  /** Whether a list or `@latest` names it. */
  readonly named: boolean;
  readonly proofs: readonly TreeProof[];
  /** Whether a checksum database must have it. */
  readonly covered: boolean;
  readonly block: Block | undefined;
}

/** A file that cannot be served: it is not what a proof says, or does not parse. */
export interface Unfit {
  readonly key: TreeKey;
  readonly etag: string;
  readonly problem: MirrorError;
}

export interface Rebuilt {
  readonly record: VersionRecord;
  readonly unfit: readonly Unfit[];
  /** What a person should know; absent where all is as it was. */
  readonly problem?: string;
}

interface RebuildParts {
  readonly tree: Pick<Tree, "get" | "open">;
  readonly zips: ZipHasher;
  readonly now: () => number;
}

export const REBUILD_WISH = "rebuild-ledger";

/**
 * The record of a version by what lies in the tree: every file read and hashed, and served again only where its lookups
 * prove it, or where no database covers it. What is not all there, or not proven, is PENDING: it is fetched, compared and
 * proven as any other by the next run that has an upstream.
 */
export async function rebuiltRecord(parts: RebuildParts, found: RebuildVersion): Promise<Rebuilt> {
  const { version, has, proofs, covered } = found;
  const unfit: Unfit[] = [];
  const mod = await readMod(parts, found, unfit);
  const info = await readInfo(parts, found, unfit);
  const zip = await readZip(parts, found, unfit);
  const proven = proofs.length > 0 || !covered;
  const isToolchain = version.path === TOOLCHAIN_MODULE && zip === undefined;
  const whole = mod !== undefined && zip !== undefined && info !== undefined;
  const wantsWhole =
    whole || found.named || has.has(zipKey(version)) || (has.has(infoKey(version)) && !isToolchain);
  const wanted = wantsWhole ? "whole" : "mod";
  const held = !proven || mod === undefined ? "nothing" : whole ? "whole" : "mod";
  const now = parts.now();
  const [proof] = proofs;
  const record: VersionRecord = {
    path: version.path,
    version: version.version,
    revision: 0,
    state: held === wanted ? "READY" : "PENDING",
    wanted,
    held,
    wantedAt: now,
    firstSeen: now,
    wish: REBUILD_WISH,
    listed: held === "whole" && found.named,
    // Also of what is not there: what a block took out comes back only as what was proven.
    ...(proof === undefined ? {} : { modH1: proof.modH1, zipH1: proof.zipH1 }),
    ...(mod === undefined ? {} : mod),
    ...(zip === undefined ? {} : zip),
    ...(info === undefined ? {} : info),
    ...(proofs.length === 0
      ? {}
      : { sumdbRecords: Object.fromEntries(proofs.map(({ database, id }) => [database, id])) }),
    attempts: 0,
    ...(held === wanted ? {} : { due: now }),
  };
  const problem = problemOf(found, unfit, held, wanted, proven);
  const said = problem === undefined ? {} : { problem };
  return { record: blockedBy(record, found.block), unfit, ...said };
}

/** A block took its zip out; where it did not come to that, applying it once more does. */
function blockedBy(record: VersionRecord, block: Block | undefined): VersionRecord {
  if (block === undefined || record.wanted !== "whole" || record.held !== "mod") return record;
  const { due: _due, ...rest } = record;
  return {
    ...rest,
    state: "BLOCKED",
    listed: false,
    rule: ruleOfBlock(block.name),
    lastError: { class: "denied", message: firstBytes(block.reason, ERROR_BYTES) },
  };
}

function problemOf(
  { version, named, block }: RebuildVersion,
  unfit: readonly Unfit[],
  held: VersionRecord["held"],
  wanted: VersionRecord["wanted"],
  proven: boolean,
): string | undefined {
  const name = formatModuleVersion(version);
  const [first] = unfit;
  if (first !== undefined) return `${first.problem.message}; taken out, to be fetched again`;
  if (!proven)
    return `${name}: its lookup is missing, so nothing here proves it; to be fetched and proven again`;
  if (held === wanted || block !== undefined) return undefined;
  if (named) return `${name}: lists name it, but not all of its files are there; to be fetched again`;
  return held === "nothing" ? `${name}: its .mod is missing; to be fetched again` : undefined;
}

async function readMod(parts: RebuildParts, { version, proofs }: RebuildVersion, unfit: Unfit[]) {
  const key = modKey(version);
  const stored = await parts.tree.get(key, LARGEST_GO_MOD);
  if (stored === undefined) return undefined;
  const modH1 = h1OfGoMod(stored.bytes);
  const other = proofs.find((proof) => proof.modH1 !== modH1);
  if (other === undefined)
    return { modH1, modSha256: sha256Of(stored.bytes), modSize: stored.bytes.byteLength };
  unfit.push(differs(version, key, stored.etag, modH1, other.modH1, other.database, stored.bytes));
  return undefined;
}

async function readInfo(parts: RebuildParts, { version }: RebuildVersion, unfit: Unfit[]) {
  const key = infoKey(version);
  const stored = await parts.tree.get(key, LARGEST_INFO);
  if (stored === undefined) return undefined;
  try {
    const { time } = parseInfo(stored.bytes, version.version);
    return { infoSha256: sha256Of(stored.bytes), ...(time === undefined ? {} : { time }) };
  } catch (thrown) {
    const { message } = asMirrorError(thrown, key);
    const problem = new MirrorError("malformed", key, message, { evidence: stored.bytes });
    unfit.push({ key, etag: stored.etag, problem });
    return undefined;
  }
}

async function readZip(parts: RebuildParts, { version, proofs }: RebuildVersion, unfit: Unfit[]) {
  const key = zipKey(version);
  const stored = await parts.tree.open(key);
  if (stored === undefined) return undefined;
  try {
    const { h1: zipH1, sha256: zipSha256 } = await parts.zips.hash(stored, version);
    const other = proofs.find((proof) => proof.zipH1 !== zipH1);
    if (other === undefined) return { zipH1, zipSha256, zipSize: stored.size };
    unfit.push(
      differs(version, key, stored.etag, zipH1, other.zipH1, other.database, await beginning(stored)),
    );
    return undefined;
  } catch (thrown) {
    const error = asMirrorError(thrown, key);
    if (error.class !== "malformed") throw error;
    const problem = new MirrorError("malformed", key, error.message, { evidence: await beginning(stored) });
    unfit.push({ key, etag: stored.etag, problem });
    return undefined;
  } finally {
    await stored.close();
  }
}

const beginning = (stored: StoredObject) => stored.read(0, Math.min(stored.size, 64 * 1024));

function differs(
  version: ModuleVersion,
  key: TreeKey,
  etag: string,
  actual: string,
  proven: string,
  by: string,
  evidence: Uint8Array,
): Unfit {
  const message = `${formatModuleVersion(version)}: the tree's ${key} is ${actual}, but ${proven} by ${by}`;
  return { key, etag, problem: new MirrorError("mismatch", key, message, { evidence }) };
}
