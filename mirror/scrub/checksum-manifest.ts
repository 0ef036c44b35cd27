import { type Sha256, sha256Stream } from "../body.ts";
import { MirrorError, misuse } from "../errors.ts";
import type { Ledger, Vault } from "../ports.ts";
import type { SpoolBody } from "../snapshot/spooled-runs.ts";
import { filesOf } from "../stored-files.ts";
import { parseTreeKey, type TreeKey } from "../tree-keys.ts";
import { isHeld } from "./content.ts";
import { type LineRuns, SortedLines } from "./sorted-lines.ts";
import { isIn, moduleOrder, type Shard } from "./tree-order.ts";

/** One PutObject (Amazon S3, Uploading objects: 5 GB); S3's own limit of 20 billion rows a job is far above. */
const LARGEST_MANIFEST = 5_000_000_000;
/** Rows that are written at a time. */
const ROWS_AT_ONCE = 1_000;
/** Records between two renewals of the lease. */
const RECORDS_PER_LOOK = 10_000;
/** Of a row as we write it: a bucket's name, a key's 1,024 bytes of which each may take three, a SHA-256. */
const LONGEST_ROW = 63 + 3 * 1_024 + 64 + 2;
const SHA256 = /^[0-9a-f]{64}$/;

/** A manifest in the vault. */
export interface StoredManifest {
  readonly key: string;
  readonly etag: string;
  readonly rows: number;
}

/** A file that the job is to hash, with what the ledger said when the manifest was written. */
export interface ManifestRow {
  readonly key: TreeKey;
  readonly sha256: Sha256;
}

/**
 * The columns of a manifest, for S3BatchOperations_CSV_20180820 (Amazon S3 API, JobManifestSpec): what is compared lies
 * beside each key, so that the ledger need not be read a second time.
 */
export const MANIFEST_FIELDS = ["Bucket", "Key", "Ignore"] as const;

/**
 * Writes all files whose SHA-256 the ledger keeps (`.mod`, `.zip`, `.info` of what is held) into a manifest, sorted by key:
 * lookups, lists and tiles have none, and are proven by the other levels. Whatever the ledger holds, memory is bounded.
 * @param keep renews the lease while it goes on.
 * @throws MirrorError misuse where it would be larger than one object may be.
 */
export async function writeManifest(
  parts: {
    readonly ledger: Pick<Ledger, "records">;
    readonly vault: Pick<Vault, "create" | "open">;
    readonly runs: LineRuns;
    readonly spool: SpoolBody;
  },
  { bucket, key, shard }: { readonly bucket: string; readonly key: string; readonly shard: Shard },
  keep: () => Promise<void>,
): Promise<StoredManifest> {
  const files = new SortedLines(parts.runs);
  let rows = 0;
  let seen = 0;
  for await (const record of parts.ledger.records()) {
    if (++seen % RECORDS_PER_LOOK === 0) await keep();
    if (!isHeld(record) || !isIn(shard, moduleOrder(record.path))) continue;
    for (const file of filesOf(record)) {
      if (file.sha256 === undefined) continue;
      rows++;
      await files.add(`${file.key}\t${file.sha256}`);
    }
  }
  const running = sha256Stream();
  let size = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of csvOf(bucket, files.sorted())) {
      await keep();
      running.update(chunk);
      size += chunk.byteLength;
      if (size > LARGEST_MANIFEST) throw tooLarge(key, shard);
      yield chunk;
    }
  }
  const body = await parts.spool(counted(), LARGEST_MANIFEST, "manifest");
  try {
    await parts.vault.create(key, body, running.digest());
  } finally {
    if (!(body instanceof Uint8Array)) await body.dispose();
  }
  const stored = await parts.vault.open(key);
  if (stored === undefined) throw new MirrorError("transient", key, `${key}: gone as soon as it was written`);
  await stored.close();
  return { key, etag: stored.etag, rows };
}

/** Reads a manifest of ours back, by key. @throws MirrorError mismatch where it is not what was written. */
export async function* readManifest(
  vault: Pick<Vault, "open">,
  bucket: string,
  { key, etag, rows }: StoredManifest,
): AsyncGenerator<ManifestRow> {
  const stored = await vault.open(key);
  if (stored === undefined || stored.etag !== etag)
    throw notOurs(key, stored === undefined ? "is gone" : "was exchanged");
  try {
    let count = 0;
    let last = "";
    for await (const row of linesOf(key, stored.stream())) {
      const parsed = parseRow(bucket, row);
      if (parsed === undefined || parsed.key <= last) throw notOurs(key, `has a wrong row ${count + 1}`);
      last = parsed.key;
      count++;
      yield parsed;
    }
    if (count !== rows) throw notOurs(key, `has ${count} rows instead of ${rows}`);
  } finally {
    await stored.close();
  }
}

/**
 * As a key stands in a manifest: percent-encoded but for RFC 3986's unreserved characters and the slash, as S3 Inventory
 * has it; a `+` is `%2B`, which no reader takes for a space (Amazon S3, Specifying a manifest: keys are URL-encoded).
 */
export function encodeKey(key: TreeKey): string {
  return encodeURIComponent(key)
    .replaceAll("%2F", "/")
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * The key that a manifest or a report names, however much of it is encoded: our keys hold no `%` and no space, so that
 * both spellings of `+` mean it.
 * @returns undefined where it is no key of a tree.
 */
export function decodeKey(text: string): TreeKey | undefined {
  try {
    return parseTreeKey(decodeURIComponent(text))?.key;
  } catch {
    return undefined;
  }
}

/** Neither a bucket's name nor an encoded key holds what CSV would quote. */
async function* csvOf(bucket: string, lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let rows: string[] = [];
  for await (const line of lines) {
    const [key = "", sha256] = line.split("\t");
    rows.push(`${bucket},${encodeKey(key as TreeKey)},${sha256}\n`);
    if (rows.length < ROWS_AT_ONCE) continue;
    yield Buffer.from(rows.join(""));
    rows = [];
  }
  if (rows.length > 0) yield Buffer.from(rows.join(""));
}

function parseRow(bucket: string, row: string): ManifestRow | undefined {
  const [named, encoded = "", sha256 = "", more] = row.split(",");
  const key = decodeKey(encoded);
  if (named !== bucket || key === undefined || !SHA256.test(sha256) || more !== undefined) return undefined;
  return { key, sha256: sha256 as Sha256 };
}

async function* linesOf(key: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LONGEST_ROW) throw notOurs(key, "has a row without an end");
    yield* lines;
  }
  if (rest !== "") throw notOurs(key, "ends within a row");
}

function notOurs(key: string, how: string): MirrorError {
  const message = `${key}: the manifest ${how}; the report of its job proves nothing, order another scrub`;
  return new MirrorError("mismatch", key, message);
}

const tooLarge = (key: string, { of }: Shard): MirrorError =>
  misuse(key, `${key}: larger than one object of S3 may be; scrub more than ${of} parts, with --shard`);
