import { noDeadline } from "../deadline.ts";
import { MirrorError } from "../errors.ts";
import { requestTimeOf } from "../requests.ts";
import type { SpoolBody } from "../snapshot/spooled-runs.ts";
import { underLease } from "../tick-lease.ts";
import { checkSubjects, compareReport } from "./checksum-compare.ts";
import { type ChecksumJobs, hasEnded, type JobDescription } from "./checksum-jobs.ts";
import { writeManifest } from "./checksum-manifest.ts";
import { type ChecksumOrder, readOrder, writeOrder } from "./checksum-order.ts";
import { readReport } from "./checksum-report.ts";
import type { ScrubFinding } from "./finding.ts";
import { readState, ScrubProgress } from "./progress.ts";
import { type ScrubParts, type ScrubResult, unmended } from "./scrub.ts";
import { ScrubWork, type Unfinished } from "./scrub-work.ts";
import type { Shard } from "./tree-order.ts";

export interface ChecksumScrubParts extends Omit<ScrubParts, "zips" | "verifiers"> {
  readonly jobs: ChecksumJobs;
  /** For the manifest, on its way. */
  readonly spool: SpoolBody;
}

/** How far a scrub by a checksum job is. */
export type ChecksumScrubResult =
  /** The last one began less than `every` ago, and has ended. */
  | { readonly step: "resting"; readonly run: string }
  /** The job is under way: look again later. */
  | {
      readonly step: "waiting";
      readonly run: string;
      readonly job: string;
      readonly description: JobDescription;
    }
  /** Its report was compared, all of it where `finished`. */
  | ({ readonly step: "compared"; readonly job?: string } & ScrubResult);

/**
 * Has S3 itself recompute the SHA-256 of every `.mod`, `.zip` and `.info`, where they lie, and compares its report with the
 * ledger. Each call takes the next step and returns: a manifest is written and a job ordered, the job is looked at, its
 * report is compared and what differs is mended. A call that dies is followed by one that takes up the same job: of a run
 * there is one manifest that counts (noted before the job is ordered) and one job (its token is the run's name).
 * @param every begins no run sooner than so many ms after the last one began; left out: begins one unless one is under way.
 * @returns undefined where another process is at it.
 * @throws MirrorError malformed where the report is refused: the run has ended then, with a finding that says so.
 */
export async function checksumScrub(
  parts: ChecksumScrubParts,
  shard: Shard,
  every?: number,
): Promise<ChecksumScrubResult | undefined> {
  const kind = `batch/${partOf(shard)}`;
  return await underLease(parts, `scrub/${kind}`, parts.owner, async (keep) => {
    const before = await readState(parts.ledger, `scrub/${kind}`);
    const isOver = before?.finishedAt !== undefined;
    if (isOver && every !== undefined && before.startedAt + every > parts.now())
      return { step: "resting", run: before.run };
    return await nextStep(parts, shard, kind, keep);
  });
}

export const partOf = ({ index, of }: Shard): string => `${index}of${of}`;

async function nextStep(
  parts: ChecksumScrubParts,
  shard: Shard,
  kind: string,
  keep: () => Promise<boolean>,
): Promise<ChecksumScrubResult> {
  const { ledger, report, now } = parts;
  const progress = await ScrubProgress.open(parts, kind, now(), undefined);
  const settle = parts.mend ?? (async (findings: readonly ScrubFinding[]) => findings.map(unmended));
  const work = new ScrubWork({ progress, settle, report, now, keep, tell: parts.progress });
  const { run } = progress.state;
  const order = await orderOf(parts, shard, progress, () => work.keepLease());
  if (order.manifest.rows === 0) {
    await work.finish();
    return { step: "compared", run, finished: true, counts: work.counts };
  }
  const job = order.job ?? (await begin(parts, order));
  const description = await parts.jobs.describe(job);
  if (description !== undefined) await note(ledger, shard, { ...order, job }, description, now());
  if (description !== undefined && !hasEnded(description.status))
    return { step: "waiting", run, job, description };
  for await (const finding of progress.earlier()) report(finding);
  const left = await compare(parts, { ...order, job }, description, progress, work);
  if (left === undefined) await work.finish();
  else await work.pause(left.cursor);
  return { step: "compared", job, run, finished: left === undefined, counts: work.counts };
}

/** Of this run: as it is noted, else its manifest is written, and noted. */
async function orderOf(
  parts: ChecksumScrubParts,
  shard: Shard,
  progress: ScrubProgress,
  keep: () => Promise<void>,
): Promise<ChecksumOrder> {
  const part = partOf(shard);
  const known = await readOrder(parts.ledger, part);
  if (known?.run === progress.state.run) return known;
  // The run's name is noted first: it names the job's token and the manifest.
  await progress.move("", progress.state.counts, []);
  const { run } = progress.state;
  // If we die before the order is noted, the next one writes another manifest beside it, and this one expires.
  const key = `${folderOf(run)}/manifest-${requestTimeOf(parts.now())}.csv`;
  const manifest = await writeManifest(parts, { bucket: parts.jobs.treeBucket, key, shard }, keep);
  return await writeOrder(parts.ledger, part, { run, manifest });
}

const folderOf = (run: string): string => `scrub/${run}`;

/** If we die before the job's id is noted, the next one asks with the same token and is told the same id. */
async function begin({ jobs }: ChecksumScrubParts, { run, manifest }: ChecksumOrder): Promise<string> {
  return await jobs.create({
    token: run,
    manifest,
    reportPrefix: folderOf(run),
    description: `modferry scrub ${run}: SHA-256 of ${manifest.rows} files`,
  });
}

async function note(
  ledger: ChecksumScrubParts["ledger"],
  shard: Shard,
  order: ChecksumOrder,
  { status, total, succeeded, failed }: JobDescription,
  now: number,
): Promise<void> {
  await writeOrder(ledger, partOf(shard), { ...order, status, total, succeeded, failed, lookedAt: now });
}

async function compare(
  parts: ChecksumScrubParts,
  { run, manifest, job = "" }: ChecksumOrder,
  description: JobDescription | undefined,
  progress: ScrubProgress,
  work: ScrubWork,
): Promise<Unfinished | undefined> {
  const { vault, runs, jobs } = parts;
  const prefix = folderOf(run);
  const unchecked = (message: string) => work.found([{ kind: "unchecked", subject: `job ${job}`, message }]);
  if (description === undefined) {
    unchecked("S3 knows this checksum job no more (it forgets after 90 days); the next run orders another");
    return undefined;
  }
  const { status, reasons } = description;
  if (!isOurs(description, manifest, prefix)) {
    unchecked("S3 has another manifest or report for this checksum job; the next run orders another");
    return undefined;
  }
  const keep = () => work.keepLease();
  const { treeBucket: bucket, vaultBucket } = jobs;
  const place = { treeBucket: bucket, vaultBucket, prefix, job, rows: manifest.rows };
  try {
    const report = await readReport({ vault, runs, keep }, place);
    if (report !== undefined) {
      await checkSubjects({ vault }, bucket, manifest, report, keep);
      const deadline = parts.deadline ?? noDeadline;
      const ended = status === "Complete";
      const { cursor = "" } = progress.state;
      const left = await compareReport(
        { ...parts, deadline },
        { bucket, manifest, report, ended },
        cursor,
        work,
      );
      if (left !== undefined) return left;
    }
    if (status !== "Complete") {
      const why = reasons.length === 0 ? "" : `: ${reasons.join("; ")}`;
      unchecked(`the checksum job has ended as ${status}${why}; what it says nothing of is not proven`);
    } else if (report === undefined) unchecked("the checksum job has left no report; nothing is proven");
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof MirrorError) || (thrown.class !== "malformed" && thrown.class !== "mismatch"))
      throw thrown;
    unchecked(thrown.message);
    return undefined;
  }
}

/** What S3 says that the job was made of: a control item that was exchanged, or another's job, proves nothing of ours. */
function isOurs(description: JobDescription, manifest: ChecksumOrder["manifest"], prefix: string): boolean {
  const of = description.manifest;
  return of.key === manifest.key && of.etag === manifest.etag && description.reportPrefix === prefix;
}
