import type { H1 } from "../gomod/dirhash.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import type { ProvenRecord } from "../sumdb/client.ts";
import type { ChecksumDatabase } from "./checksum-database.ts";
import { MirrorError } from "./errors.ts";
import type { MirrorParts } from "./parts.ts";
import type { VersionRecord } from "./records.ts";

/** What one database says of a version; nothing of it is published yet. */
export interface Proof {
  readonly database: ChecksumDatabase;
  readonly record: ProvenRecord;
}

/** What a version's files hash to as one source has it; undefined where it says nothing of the file. */
export interface Claim {
  /** For messages. */
  readonly by: string;
  readonly modH1: H1 | undefined;
  readonly zipH1: H1 | undefined;
}

/** Those of the covering databases whose record of the version is not published and noted yet. */
export function unprovenBy(
  record: VersionRecord,
  covering: readonly ChecksumDatabase[],
): readonly ChecksumDatabase[] {
  return covering.filter(
    ({ name }) => record.sumdbRecords?.[name] === undefined || record.zipH1 === undefined,
  );
}

/**
 * Proves a version by each of these databases, side by side.
 * @param covering all that cover its path: the first must have it, while another one that has no record of it is left
 * out, and is asked again when the version is fetched or requested again.
 * @throws MirrorError of the first one that fails, in their order; absent when the first has no record of it.
 */
export async function proveVersion(
  record: VersionRecord,
  covering: readonly ChecksumDatabase[],
): Promise<readonly Proof[]> {
  const first = covering[0];
  const proofs = await Promise.allSettled(
    unprovenBy(record, covering).map(async (database): Promise<Proof | undefined> => {
      try {
        return { database, record: await database.prove(record) };
      } catch (thrown) {
        const lacks = thrown instanceof MirrorError && thrown.class === "absent";
        if (lacks && database !== first) return undefined;
        throw thrown;
      }
    }),
  );
  const found = proofs.map((proof) => {
    if (proof.status === "rejected") throw proof.reason;
    return proof.value;
  });
  return found.filter((proof) => proof !== undefined);
}

/**
 * What the files must hash to: as the databases say, and as what is proven or held already has it. Without any
 * database it is what was first seen.
 */
export function claimsOf(record: VersionRecord, proofs: readonly Proof[]): readonly Claim[] {
  const known = record.sumdbRecords !== undefined || proofs.length === 0;
  return [
    ...proofs.map(({ database, record: { goMod, zip } }) => ({
      by: database.name,
      modH1: goMod,
      zipH1: zip,
    })),
    {
      by: Object.keys(record.sumdbRecords ?? {}).join(", ") || "first sight",
      modH1: known || record.held !== "nothing" ? record.modH1 : undefined,
      zipH1: known || record.held === "whole" ? record.zipH1 : undefined,
    },
  ];
}

/** @throws MirrorError mismatch naming the two that disagree: the first one that says anything, and the other. */
export function requireAgreement(
  version: ModuleVersion,
  claims: readonly Claim[],
  evidence?: Uint8Array,
): void {
  for (const [file, field] of [
    ["go.mod", "modH1"],
    ["zip", "zipH1"],
  ] as const) {
    const [expected, ...others] = claims.filter((claim) => claim[field] !== undefined);
    const other = others.find((claim) => claim[field] !== expected?.[field]);
    if (expected === undefined || other === undefined) continue;
    const subject = formatModuleVersion(version);
    const message = `${subject}: ${file} is ${other[field]} by ${other.by}, but ${expected[field]} by ${expected.by}; not served`;
    throw new MirrorError("mismatch", subject, message, evidence === undefined ? {} : { evidence });
  }
}

/** The databases that cover a path and may publish, for versions of which some are held without their proof. */
export async function openDatabases(
  parts: Pick<MirrorParts, "databasesFor" | "ledger">,
  versions: readonly ModuleVersion[],
): Promise<(path: ModulePath) => readonly ChecksumDatabase[]> {
  const names = new Set(versions.flatMap(({ path }) => parts.databasesFor(path).map(({ name }) => name)));
  for (const name of [...names]) if ((await parts.ledger.readStop(name)) !== undefined) names.delete(name);
  return (path) => parts.databasesFor(path).filter(({ name }) => names.has(name));
}
