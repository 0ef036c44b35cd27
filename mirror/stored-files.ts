import { formatModuleVersion } from "../gomod/version.ts";
import type { Sha256 } from "./body.ts";
import { EVIDENCE_LIMIT, MirrorError } from "./errors.ts";
import { sha256OfObject } from "./object-sha256.ts";
import type { StoredObject, Tree } from "./ports.ts";
import type { VersionRecord } from "./records.ts";
import { infoKey, lookupKey, modKey, type TreeKey, zipKey } from "./tree-keys.ts";

/** A file of the tree that is not what was stored. */
export interface Damaged {
  readonly key: TreeKey;
  readonly etag: string;
  /** With the beginning of the file, for a person to look at. */
  readonly problem: MirrorError;
}

/**
 * Reads all files that the ledger says are held of a version, and compares them with what was stored.
 * @throws MirrorError transient when the tree does not answer.
 */
export async function inspectFiles(
  tree: Pick<Tree, "open">,
  record: VersionRecord,
): Promise<{ readonly missing: readonly TreeKey[]; readonly damaged: readonly Damaged[] }> {
  const missing: TreeKey[] = [];
  const damaged: Damaged[] = [];
  for (const { key, sha256 } of filesOf(record)) {
    const stored = await tree.open(key);
    if (stored === undefined) {
      missing.push(key);
      continue;
    }
    try {
      if (sha256 === undefined || (await sha256OfObject(stored)) === sha256) continue;
      damaged.push({ key, etag: stored.etag, problem: await damageOf(record, key, stored, sha256) });
    } finally {
      await stored.close();
    }
  }
  return { missing, damaged };
}

/** The tree, with damaged files giving way to what is created in their place. */
export function withoutDamage(tree: Tree, damaged: readonly Damaged[]): Tree {
  const etags = new Map(damaged.map(({ key, etag }) => [key, etag]));
  return {
    create: async (key, body, sha256) => {
      const etag = etags.get(key);
      // `changed`: somebody else has mended it; what is there now is compared as any other.
      if (etag !== undefined) await tree.remove(key, etag);
      return await tree.create(key, body, sha256);
    },
    replace: (key, bytes, previous) => tree.replace(key, bytes, previous),
    remove: (key, previous) => tree.remove(key, previous),
    get: (key, limit) => tree.get(key, limit),
    open: (key) => tree.open(key),
    keys: (after) => tree.keys(after),
    link: (key, seconds) => tree.link(key, seconds),
  };
}

/** What the tree has of it: a conflict over a damaged file takes that for lost, but it is there. */
export function storedOf({
  state,
  held,
  wanted,
  modSha256,
  zipSha256,
}: VersionRecord): VersionRecord["held"] {
  if (state !== "CONFLICT" || modSha256 === undefined) return held;
  return zipSha256 === undefined ? "mod" : wanted;
}

/** Of a lookup the ledger has no hash: whoever proves the version again compares it. */
export function filesOf(
  record: VersionRecord,
): readonly { readonly key: TreeKey; readonly sha256: Sha256 | undefined }[] {
  const { held, modSha256, zipSha256, infoSha256, sumdbRecords = {} } = record;
  const whole = held === "whole";
  return [
    ...Object.keys(sumdbRecords).map((database) => ({
      key: lookupKey(database, record),
      sha256: undefined,
    })),
    { key: modKey(record), sha256: modSha256 },
    ...(whole ? [{ key: zipKey(record), sha256: zipSha256 }] : []),
    ...(whole || infoSha256 !== undefined ? [{ key: infoKey(record), sha256: infoSha256 }] : []),
  ];
}

async function damageOf(
  record: VersionRecord,
  key: TreeKey,
  stored: StoredObject,
  sha256: Sha256,
): Promise<MirrorError> {
  const subject = formatModuleVersion(record);
  const evidence = await stored.read(0, Math.min(EVIDENCE_LIMIT, stored.size));
  return new MirrorError(
    "mismatch",
    subject,
    `${subject}: the tree's ${key} is not what was stored, whose SHA-256 is ${sha256}`,
    { evidence },
  );
}
