import { createHash } from "node:crypto";
import { z } from "zod";
import type { Sha256 } from "../body.ts";
import { asMirrorError, MirrorError } from "../errors.ts";
import type { Vault } from "../ports.ts";
import type { TreeKey } from "../tree-keys.ts";
import { parseReportRow, type ReportedFile, rowsOf } from "./checksum-rows.ts";
import { type LineRuns, SortedLines } from "./sorted-lines.ts";

/** A list of the report's files: each takes some 300 bytes. */
const LARGEST_INDEX = 4 * 1024 * 1024;
const MOST_PARTS = 10_000;
/** One object of S3 may be as large; a report's row is some 400 bytes, so it is bounded by its rows besides. */
const LARGEST_PART = 50 * 1024 ** 3;
/** A task is reported once; a service that works on several machines may say one thing twice. */
const REPORTS_PER_ROW = 2;

/** Amazon S3, Examples: S3 Batch Operations completion reports; further fields are added by AWS. */
const indexShape = z.object({
  Format: z.literal("Report_CSV_20180820"),
  ReportSchema: z
    .string()
    .max(300)
    .refine((text) => SCHEMA.test(text.replaceAll(" ", "")), "names other columns"),
  Results: z
    .array(
      z.object({
        TaskExecutionStatus: z.string().max(100),
        Bucket: z.string().max(100),
        MD5Checksum: z.string().regex(/^[0-9a-fA-F]{32}$/),
        Key: z.string().max(1_024),
      }),
    )
    .max(MOST_PARTS),
});
const SCHEMA =
  /^Bucket,Key,VersionId,TaskStatus,(ErrorCode,HTTPStatusCode|HTTPStatusCode,ErrorCode),ResultMessage$/;

interface ReportPlace {
  readonly treeBucket: string;
  readonly vaultBucket: string;
  /** As the job was ordered. */
  readonly prefix: string;
  readonly job: string;
  /** Of the manifest. */
  readonly rows: number;
}

/** What a job has said of each file, sorted by key; several of one key where it said several things. */
export interface SortedReport {
  /** As often as asked. */
  files(): AsyncIterable<ReportedFile>;
}

/**
 * Reads a job's completion report, all parts of it, and sorts it outside of memory. Each part is proven by its MD5 before
 * anything is gone by. Attacker-controlled: whoever may write the vault's `scrub/` may have written it.
 * @returns undefined where there is none: S3 writes one only where at least one task was run.
 * @throws MirrorError malformed saying what is wrong with which part and row; nothing of the report counts then.
 */
export async function readReport(
  {
    vault,
    runs,
    keep,
  }: {
    readonly vault: Pick<Vault, "get" | "open">;
    readonly runs: LineRuns;
    readonly keep: () => Promise<void>;
  },
  place: ReportPlace,
): Promise<SortedReport | undefined> {
  const folder = `${place.prefix}/job-${place.job}/`;
  const indexKey = `${folder}manifest.json`;
  const bytes = await vault.get(indexKey, LARGEST_INDEX);
  if (bytes === undefined) return undefined;
  const files = new SortedLines(runs);
  let rows = 0;
  for (const { Bucket, Key, MD5Checksum } of parseIndex(bytes, indexKey)) {
    // Without the job's prefix in the documentation's example, with it in practice.
    const key = Key.startsWith(`job-${place.job}/`) ? `${place.prefix}/${Key}` : Key;
    if (Bucket !== place.vaultBucket || !key.startsWith(folder) || key.includes(".."))
      throw refused(indexKey, "names a part outside of this job's report");
    for await (const line of partLines(vault, key, MD5Checksum, place.treeBucket)) {
      if (++rows > place.rows * REPORTS_PER_ROW) throw refused(key, "has more rows than the manifest");
      if (rows % 10_000 === 0) await keep();
      await files.add(line);
    }
  }
  return {
    files: async function* () {
      for await (const line of files.sorted()) yield parseLine(line);
    },
  };
}

function parseIndex(bytes: Uint8Array, key: string): z.output<typeof indexShape>["Results"] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw refused(key, "is no JSON");
  }
  const parsed = indexShape.safeParse(json);
  if (parsed.success) return parsed.data.Results;
  const [issue] = parsed.error.issues;
  throw refused(key, `${issue?.path.join(".") || "is"}: ${issue?.message}`);
}

async function* partLines(
  vault: Pick<Vault, "open">,
  key: string,
  md5: string,
  treeBucket: string,
): AsyncGenerator<string> {
  const stored = await vault.open(key);
  if (stored === undefined) throw refused(key, "is not there, although the report names it");
  if (stored.size > LARGEST_PART) throw refused(key, "is larger than any report");
  const running = createHash("md5");
  async function* hashed(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      running.update(chunk);
      yield chunk;
    }
  }
  let row = 0;
  try {
    for await (const text of rowsOf(hashed(stored.stream()))) {
      row++;
      // Some writers put the columns' names first.
      if (row === 1 && /^"?Bucket"?,"?Key"?,/.test(text)) continue;
      yield printLine(parseReportRow(text, treeBucket));
    }
  } catch (thrown) {
    if (thrown instanceof MirrorError) throw thrown;
    if (!(thrown instanceof Error)) throw asMirrorError(thrown, key);
    throw refused(key, `row ${row}: ${thrown.message}`);
  } finally {
    await stored.close();
  }
  if (running.digest("hex") !== md5.toLowerCase()) throw refused(key, "has another MD5 than the report says");
}

/** Sorted as they are, these come by key: a tab sorts before all that a key has. */
function printLine(file: ReportedFile): string {
  return "sha256" in file
    ? `${file.key}\ts${file.sha256}${file.etag}`
    : `${file.key}\t${file.isMissing ? "m" : "f"}${file.failure}`;
}

function parseLine(line: string): ReportedFile {
  const tab = line.indexOf("\t");
  const key = line.slice(0, tab) as TreeKey;
  const said = line.slice(tab + 2);
  const kind = line[tab + 1];
  if (kind !== "s") return { key, failure: said, isMissing: kind === "m" };
  return { key, sha256: said.slice(0, 64) as Sha256, etag: said.slice(64) };
}

/** The report is not gone by; the tree is as it was. */
export function refused(key: string, why: string): MirrorError {
  const message = `${key}: ${why}; this report is not gone by, order another scrub`;
  return new MirrorError("malformed", key, message);
}
