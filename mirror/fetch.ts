import { type H1, h1OfGoMod } from "../gomod/dirhash.ts";
import { TOOLCHAIN_MODULE } from "../gomod/toolchain-version.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { type Body, isSpool, sizeOf } from "./body.ts";
import type { Seen } from "./decision.ts";
import { asMirrorError, EVIDENCE_LIMIT, MirrorError } from "./errors.ts";
import type { Fetched } from "./fetched-record.ts";
import type { MirrorParts } from "./parts.ts";
import { claimsOf, type Proof, proveVersion, requireAgreement, unprovenBy } from "./prove-version.ts";
import type { Extent, VersionRecord } from "./records.ts";
import { parseInfoOf, storeFiles } from "./store-files.ts";
import { checkUnprovenGoMod, checkUnprovenZip } from "./unproven-go-mod.ts";

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
 * @returns what to add to the record, what upstream says of it now, and the bytes that came from there.
 * @throws MirrorError about `module@version` and the file.
 */
export async function fetchVersion(
  parts: FetchParts,
  record: VersionRecord,
  { withZip = true, checkSize = () => {}, checkHash = () => {} }: FetchOptions = {},
): Promise<{
  added: Fetched;
  seen: Pick<Seen, "time" | "hashes">;
  bytes: number;
  goMod: Uint8Array | undefined;
}> {
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
    const {
      mod: storedMod,
      zip: storedZip,
      info: storedInfo,
    } = await storeFiles(parts, record, {
      ...(goMod === undefined ? {} : { mod: { bytes: goMod, h1: modH1 } }),
      ...(checked === undefined ? {} : { zip: checked }),
      ...(parsedInfo === undefined ? {} : { info: parsedInfo }),
    });

    const held: Extent = fetching.zip || record.held === "whole" ? "whole" : "mod";
    return {
      goMod,
      seen: {
        ...(parsedInfo === undefined ? {} : { time: parsedInfo.time ?? null }),
        hashes: {
          ...(modH1 === undefined ? {} : { mod: modH1 }),
          ...(checked === undefined ? {} : { zip: checked.h1 }),
        },
      },
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
