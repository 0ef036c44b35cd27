import type { Sha256 } from "../body.ts";
import { type Deadline, TIME_TO_CLOSE } from "../deadline.ts";
import { sha256OfObject } from "../object-sha256.ts";
import type { Ledger, Tree, Vault } from "../ports.ts";
import { filesOf } from "../stored-files.ts";
import { parseTreeKey, type TreeKey } from "../tree-keys.ts";
import { type ManifestRow, readManifest, type StoredManifest } from "./checksum-manifest.ts";
import { refused, type SortedReport } from "./checksum-report.ts";
import type { ReportedFile } from "./checksum-rows.ts";
import { isHeld } from "./content.ts";
import { Cursor } from "./expected.ts";
import type { ScrubFinding } from "./finding.ts";
import type { ScrubWork, Unfinished } from "./scrub-work.ts";

export interface CompareParts {
  readonly tree: Pick<Tree, "open">;
  readonly ledger: Pick<Ledger, "read">;
  readonly vault: Pick<Vault, "open">;
  readonly deadline: Deadline;
}

/** Files that are looked at side by side: damaged ones are few, and read. */
const SUSPECTS_AT_ONCE = 16;
/** Rows between two looks at the time and the cursor. */
const ROWS_PER_BATCH = 10_000;

/** A file that a job has not said to be right. */
interface Suspect extends ManifestRow {
  /** None: nothing was said of it. */
  readonly said: readonly ReportedFile[];
}

/**
 * @throws MirrorError malformed where a report speaks of a file that the job was not asked about: it is another's, and
 * nothing of it counts. To be called before anything is gone by.
 */
export async function checkSubjects(
  { vault }: Pick<CompareParts, "vault">,
  bucket: string,
  manifest: StoredManifest,
  report: SortedReport,
  keep: () => Promise<void>,
): Promise<void> {
  const said = new Cursor(report.files());
  let row = 0;
  for await (const { key } of readManifest(vault, bucket, manifest)) {
    if (++row % ROWS_PER_BATCH === 0) await keep();
    for (let next = await said.peek(); next !== undefined && next.key <= key; next = await said.peek()) {
      if (next.key !== key) throw unasked(manifest, next.key);
      said.take();
    }
  }
  const more = await said.peek();
  if (more !== undefined) throw unasked(manifest, more.key);
}

const unasked = ({ key }: StoredManifest, subject: TreeKey) =>
  refused(key, `the report speaks of ${subject}, which this manifest has not`);

/**
 * The manifest, which has the ledger's SHA-256s, beside what a job says of each file, both sorted: one pass. What is not
 * said to be right is looked at here, against the ledger as it is now, before it is a finding: a job takes hours, in which
 * files are collected, mended and fetched anew.
 * @param ended whether the job came to its end: only then a file of which nothing is said is a finding.
 * @param cursor goes on behind this key.
 */
export async function compareReport(
  parts: CompareParts,
  {
    bucket,
    manifest,
    report,
    ended,
  }: {
    readonly bucket: string;
    readonly manifest: StoredManifest;
    readonly report: SortedReport;
    readonly ended: boolean;
  },
  cursor: string,
  work: ScrubWork,
): Promise<Unfinished | undefined> {
  const files = new Cursor(report.files());
  let suspects: Suspect[] = [];
  let rows = 0;
  const settle = async (key: string) => {
    const found = await Promise.all(suspects.map((suspect) => judge(parts, suspect)));
    for (const finding of found) if (finding !== undefined) work.found([finding]);
    suspects = [];
    rows = 0;
    await work.reached(key);
  };
  for await (const row of readManifest(parts.vault, bucket, manifest)) {
    const said: ReportedFile[] = [];
    for (
      let next = await files.peek();
      next !== undefined && next.key <= row.key;
      next = await files.peek()
    ) {
      if (next.key === row.key) said.push(next);
      files.take();
    }
    if (row.key <= cursor) continue;
    rows++;
    if (said.length > 0) work.count({ files: 1 });
    const isRight = said.length > 0 && said.every((file) => "sha256" in file && file.sha256 === row.sha256);
    if (!isRight && (said.length > 0 || ended)) suspects.push({ ...row, said });
    if (suspects.length < SUSPECTS_AT_ONCE && rows < ROWS_PER_BATCH) continue;
    await settle(row.key);
    if (parts.deadline.remaining() < TIME_TO_CLOSE) return { cursor: row.key };
  }
  await settle(LAST_KEY);
  return undefined;
}

/** Behind all keys. */
const LAST_KEY = "~";

/** By what the ledger holds now, and what can be read now. */
async function judge(parts: CompareParts, { key, said }: Suspect): Promise<ScrubFinding | undefined> {
  const entry = parseTreeKey(key);
  if (entry === undefined || !("version" in entry)) return undefined;
  const { version } = entry;
  const [record] = await parts.ledger.read([version]);
  if (record === undefined || !isHeld(record)) return undefined;
  const sha256 = filesOf(record).find((file) => file.key === key)?.sha256;
  if (sha256 === undefined) return undefined;
  const failed = said.find((file) => "failure" in file && !file.isMissing);
  const differs = said.find((file) => "sha256" in file && file.sha256 !== sha256);
  const unread = said.some((file) => "failure" in file && file.isMissing);
  if (differs === undefined && !unread) {
    if (said.length > 0 && failed === undefined) return undefined;
    const why =
      failed === undefined
        ? "the checksum job says nothing of it"
        : `the checksum job could not read it: ${"failure" in failed ? failed.failure : ""}`;
    return { kind: "unchecked", subject: key, message: `${why}; \`modferry scrub --deep\` reads it` };
  }
  const now = await read(parts, key);
  const repair = { version, key };
  if (now === undefined)
    return { kind: "missing", subject: key, message: "missing, although the ledger holds it", repair };
  if (now.sha256 !== sha256) {
    const message = `has SHA-256 ${now.sha256}, but ${sha256} was stored`;
    return { kind: "damaged", subject: key, message, repair };
  }
  // Mended since, or stored anew: another object than the job has read.
  if (differs === undefined || !("sha256" in differs) || differs.etag !== now.etag) return undefined;
  const message = `the checksum job has computed ${differs.sha256} of it, and reading it gives ${sha256}, as was stored; ask AWS about this object`;
  return { kind: "damaged", subject: key, message };
}

async function read(
  { tree }: Pick<CompareParts, "tree">,
  key: TreeKey,
): Promise<{ readonly sha256: Sha256; readonly etag: string } | undefined> {
  const stored = await tree.open(key);
  if (stored === undefined) return undefined;
  try {
    return { sha256: await sha256OfObject(stored), etag: stored.etag };
  } finally {
    await stored.close();
  }
}
