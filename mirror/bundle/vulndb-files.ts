import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { type Sha256, sha256Of } from "../body.ts";
import { MirrorError } from "../errors.ts";
import { type ArchivedFile, LARGEST_ARCHIVE, parseArchiveLine } from "../snapshot/vulndb-archive.ts";
import type { TreeKey } from "../tree-keys.ts";
import { LARGEST_VULNDB_INDEX, packVulndb } from "../vulndb.ts";

/**
 * Reads an archive of the vulnerability database (mirror/snapshot/vulndb-archive.ts). Attacker-controlled.
 * @throws MirrorError malformed where it is none.
 */
export async function readVulndbArchive(archive: Uint8Array, subject: string): Promise<ArchivedFile[]> {
  try {
    const bytes = await promisify(zstdDecompress)(archive, { maxOutputLength: LARGEST_ARCHIVE });
    const lines = new TextDecoder("utf-8", { fatal: true }).decode(bytes).split("\n");
    if (lines.pop() !== "") throw new Error("it ends within a line");
    return lines.map((line) => parseArchiveLine(line, subject));
  } catch (cause) {
    if (cause instanceof MirrorError) throw cause;
    const message = `${subject}: no archive of a vulnerability database: ${(cause as Error).message.split("\n", 1)[0]}`;
    throw new MirrorError("malformed", subject, message, { cause });
  }
}

/** A file of the database in a tree: plain, or packed for whoever asks over http. */
export type VulndbFile = {
  readonly kind: "vulndb";
  readonly key: TreeKey;
  /** Of the plain file. */
  readonly bytes: Uint8Array;
} & (
  | { readonly form: "plain"; readonly sha256: Sha256; readonly size: number }
  /** Versions of zlib pack otherwise: what it unpacks to counts. */
  | { readonly form: "packed" }
);

/** What changed, each in both forms: entries before the indexes that name them, `index/db` last (mirror/vulndb.ts). */
export function* vulndbBetween(
  before: readonly ArchivedFile[],
  after: readonly ArchivedFile[],
): Generator<VulndbFile> {
  const known = new Map(before.map(({ key, bytes }) => [key, sha256Of(bytes)]));
  const turn = ({ key }: ArchivedFile) =>
    key.includes("/ID/") ? 0 : key.includes("/index/vulns") ? 1 : key.includes("/index/modules") ? 2 : 3;
  for (const { key, bytes } of [...after].sort((a, b) => turn(a) - turn(b) || (a.key < b.key ? -1 : 1))) {
    const sha256 = sha256Of(bytes);
    if (known.get(key) === sha256) continue;
    yield { kind: "vulndb", form: "plain", key, bytes, sha256, size: bytes.byteLength };
    yield { kind: "vulndb", form: "packed", key: `${key}.gz` as TreeKey, bytes };
  }
}

/** What a bundle carries of it. */
export async function vulndbContent(file: VulndbFile): Promise<Uint8Array> {
  return file.form === "plain" ? file.bytes : await packVulndb(file.bytes);
}

/** @throws MirrorError mismatch where a packed file is not the plain one's. */
export async function requirePacked({ key, bytes }: VulndbFile, packed: Uint8Array): Promise<void> {
  const unpacked = await promisify(gunzip)(packed, { maxOutputLength: LARGEST_VULNDB_INDEX }).catch(
    () => undefined,
  );
  if (unpacked?.equals(bytes) === true) return;
  throw new MirrorError("mismatch", key, `${key}: unpacks to something else than the file without .gz`);
}
