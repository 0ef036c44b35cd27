import { type H1, h1OfGoMod } from "../gomod/dirhash.ts";
import { type Info, parseInfo, printInfo } from "../gomod/info.ts";
import { TOOLCHAIN_MODULE } from "../gomod/toolchain-version.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type Body, isSpool, type Sha256, sha256Of, sha256Stream, sizeOf } from "./body.ts";
import { asMirrorError, EVIDENCE_LIMIT, MirrorError } from "./errors.ts";
import type { Fetched } from "./fetched-record.ts";
import type { MirrorParts } from "./parts.ts";
import type { StoredObject } from "./ports.ts";
import { claimsOf, type Proof, proveVersion, requireAgreement, unprovenBy } from "./prove-version.ts";
import type { Extent, VersionRecord } from "./records.ts";
import { infoKey, modKey, type TreeKey, zipKey } from "./tree-keys.ts";
import { checkUnprovenGoMod, checkUnprovenZip } from "./unproven-go-mod.ts";

/** cmd/go's limit of a go.mod file (cmd/go/internal/modfetch/codehost, MaxGoMod). */
export const LARGEST_GO_MOD = 16 * 1024 * 1024;
/** An `.info` of ours is far below this. */
export const LARGEST_INFO = 64 * 1024;

type FetchParts = Pick<MirrorParts, "tree" | "upstream" | "zips" | "databasesFor">;

export interface FetchOptions {
  /** False: `.mod` and `.info` of what is wanted whole, but not its zip, which policy or a block keeps out. */
  readonly withZip?: boolean;
  /** Looks at the zip's size in bytes before anything is stored; what it throws ends the fetch. */
  readonly checkSize?: (bytes: number) => void;
  /** As checkSize, at what the zip hashes to. */
  readonly checkHash?: (h1: H1) => void;
}

/**
 * Fetches, proves and stores what is wanted of a version and not held, in this order, each create-only:
 * tiles, head, lookup, `.mod`, zip, `.info`. Nothing is stored before all of it is proven. A crash anywhere leaves proven
 * files without a record; the next run finds them equal to what it fetches.
 * @returns what to add to the record, and the bytes that came from upstream.
 * @throws MirrorError about `module@version` and the file.
 */
export async function fetchVersion(
  parts: FetchParts,
  record: VersionRecord,
  { withZip = true, checkSize = () => {}, checkHash = () => {} }: FetchOptions = {},
): Promise<{ added: Fetched; bytes: number; goMod: Uint8Array | undefined }> {
  const covering = parts.databasesFor(record.path);
  const whole = record.wanted === "whole" && record.held !== "whole";
  const isNew = record.held === "nothing";
  // Go asks one platform's `.info` for a toolchain of any (facts: go-client): it comes with that one's `.mod`.
  const info = whole || (isNew && record.path === TOOLCHAIN_MODULE);
  const fetching = { mod: isNew, info, zip: whole && withZip };
  for (const database of unprovenBy(record, covering)) await database.checkStop();
  // allSettled: a spooled zip must be disposed of even when its sibling fails first.
  const [proof, mod, infoFile, zip] = await Promise.allSettled([
    proveVersion(record, covering),
    fetching.mod ? parts.upstream.mod(record) : undefined,
    fetching.info ? parts.upstream.info(record) : undefined,
    fetching.zip ? fetchZip(parts, record, checkSize) : undefined,
  ]);
  const body = zip.status === "fulfilled" ? zip.value?.body : undefined;
  try {
    const proofs = settled(proof);
    const goMod = settled(mod);
    const checked = settled(zip);
    const infoBytes = settled(infoFile);
    const modH1 = goMod === undefined ? undefined : h1OfGoMod(goMod);
    const claims = claimsOf(record, proofs);
    requireAgreement(record, claims);
    const sent = { by: "upstream", modH1: undefined, zipH1: undefined };
    requireAgreement(record, [...claims, { ...sent, modH1 }], goMod && (await beginning(goMod)));
    requireAgreement(record, [...claims, { ...sent, zipH1: checked?.h1 }], body && (await beginning(body)));
    if (checked !== undefined) checkHash(checked.h1);
    if (proofs.length === 0 && record.sumdbRecords === undefined) {
      if (goMod !== undefined)
        await checkUnprovenGoMod(record, goMod, checked ?? (() => lookIntoZip(parts, record)));
      else if (checked !== undefined) checkUnprovenZip(record, checked, record.modH1);
    }
    const parsedInfo = infoBytes === undefined ? undefined : parseInfoOf(record, infoBytes);

    for (const { database, record: proven } of proofs) await database.publish(record, proven);
    const storedMod = goMod === undefined ? undefined : await storeMod(parts, record, goMod, modH1);
    const storedZip =
      checked === undefined ? undefined : await storeZip(parts, record, checked.body, checked.h1);
    const storedInfo = parsedInfo === undefined ? undefined : await storeInfo(parts, record, parsedInfo);

    const held: Extent = fetching.zip || record.held === "whole" ? "whole" : "mod";
    return {
      goMod,
      bytes:
        (goMod?.byteLength ?? 0) + (infoBytes?.byteLength ?? 0) + (body === undefined ? 0 : sizeOf(body)),
      added: {
        held,
        ...provenFields(proofs),
        ...(storedMod === undefined ? {} : { modSha256: storedMod.sha256, modSize: storedMod.size }),
        ...(modH1 === undefined ? {} : { modH1 }),
        ...(storedZip === undefined || checked === undefined
          ? {}
          : { zipSha256: storedZip.sha256, zipSize: storedZip.size, zipH1: checked.h1 }),
        ...(storedInfo === undefined ? {} : { infoSha256: storedInfo.sha256 }),
        ...(storedInfo?.time === undefined ? {} : { time: storedInfo.time }),
      },
    };
  } finally {
    if (body !== undefined && isSpool(body)) await body.dispose();
  }
}

async function fetchZip(
  parts: FetchParts,
  version: ModuleVersion,
  checkSize: (bytes: number) => void,
): Promise<{ body: Body; h1: H1; goMod: Uint8Array | undefined }> {
  const body = await parts.upstream.zip(version);
  try {
    checkSize(sizeOf(body));
    const { h1, goMod } = await parts.zips.check(body, version);
    return { body, h1, goMod };
  } catch (thrown) {
    const error = asMirrorError(thrown, formatModuleVersion(version));
    const evidence = error.class === "malformed" ? await beginning(body) : undefined;
    if (isSpool(body)) await body.dispose();
    if (evidence === undefined) throw error;
    throw new MirrorError(error.class, error.subject, error.message, { cause: error, evidence });
  }
}

/** For the go.mod in a zip that is not wanted. */
async function lookIntoZip(
  parts: FetchParts,
  version: ModuleVersion,
): Promise<{ goMod: Uint8Array | undefined }> {
  const { body, goMod } = await fetchZip(parts, version, () => {});
  if (isSpool(body)) await body.dispose();
  return { goMod };
}

/** A person may want to see what upstream sent; that it cannot be read again must not hide what was wrong with it. */
async function beginning(body: Body): Promise<Uint8Array | undefined> {
  if (!isSpool(body)) return body;
  return await body.read(0, Math.min(EVIDENCE_LIMIT, body.size)).catch(() => undefined);
}

function settled<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "fulfilled") return result.value;
  throw result.reason;
}

function provenFields(proofs: readonly Proof[]): Partial<Fetched> {
  const [first] = proofs;
  if (first === undefined) return {};
  const sumdbRecords = Object.fromEntries(proofs.map(({ database, record }) => [database.name, record.id]));
  return { sumdbRecords, modH1: first.record.goMod, zipH1: first.record.zip };
}

function parseInfoOf(version: ModuleVersion, bytes: Uint8Array): Info {
  try {
    return parseInfo(bytes, version.version);
  } catch (cause) {
    const subject = formatModuleVersion(version);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MirrorError("malformed", subject, `${subject}: .info: ${reason}`, { cause, evidence: bytes });
  }
}

interface Stored {
  readonly sha256: Sha256;
  readonly size: number;
}

async function storeMod(
  parts: FetchParts,
  version: ModuleVersion,
  goMod: Uint8Array,
  h1: H1 | undefined,
): Promise<Stored> {
  const key = modKey(version);
  const sha256 = sha256Of(goMod);
  if ((await parts.tree.create(key, goMod, sha256)) === "exists") {
    const stored = await parts.tree.get(key, LARGEST_GO_MOD);
    if (stored === undefined) throw vanished(key);
    if (h1OfGoMod(stored.bytes) !== h1) throw damaged(version, key);
  }
  return { sha256, size: goMod.byteLength };
}

/** Two upstreams may compress differently: where a zip is there with the same h1, it stays, and its SHA-256 counts. */
async function storeZip(parts: FetchParts, version: ModuleVersion, body: Body, h1: H1): Promise<Stored> {
  const key = zipKey(version);
  const sha256 = isSpool(body) ? body.sha256 : sha256Of(body);
  if ((await parts.tree.create(key, body, sha256)) === "created") return { sha256, size: sizeOf(body) };
  const stored = await parts.tree.open(key);
  if (stored === undefined) throw vanished(key);
  try {
    const present = await checkStoredZip(parts, stored, version).catch((thrown: unknown) => {
      // Cut short, or no zip at all: upstream's is proven, so it is the tree's that is wrong.
      throw asMirrorError(thrown, key).class === "malformed" ? damaged(version, key) : thrown;
    });
    if (present.h1 !== h1) throw damaged(version, key);
    return { sha256: present.sha256, size: stored.size };
  } finally {
    await stored.close();
  }
}

async function checkStoredZip(
  parts: Pick<MirrorParts, "zips">,
  stored: StoredObject,
  version: ModuleVersion,
): Promise<{ h1: H1; sha256: Sha256 }> {
  const running = sha256Stream();
  for await (const chunk of stored.stream()) running.update(chunk);
  const checked = await parts.zips.checkStored(stored, version);
  return { h1: checked.h1, sha256: running.digest() };
}

/** The first one stays: Time and Origin may differ between upstreams, the version cannot. */
async function storeInfo(
  parts: FetchParts,
  version: ModuleVersion,
  info: Info,
): Promise<{ sha256: Sha256; time: string | undefined }> {
  const key = infoKey(version);
  const bytes = new TextEncoder().encode(printInfo(info));
  const sha256 = sha256Of(bytes);
  if ((await parts.tree.create(key, bytes, sha256)) === "created") return { sha256, time: info.time };
  const stored = await parts.tree.get(key, LARGEST_INFO);
  if (stored === undefined) throw vanished(key);
  return { sha256: sha256Of(stored.bytes), time: parseInfoOf(version, stored.bytes).time };
}

function vanished(key: TreeKey): MirrorError {
  return new MirrorError("transient", key, `${key}: was there and is gone; try again`);
}

function damaged(version: ModuleVersion, key: TreeKey): MirrorError {
  const subject = formatModuleVersion(version);
  return new MirrorError(
    "mismatch",
    subject,
    `${subject}: the tree's ${key} is not what is proven; run \`modferry verify\`, remove that file and sync again`,
  );
}
