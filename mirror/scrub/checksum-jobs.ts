/**
 * What recomputes the SHA-256 of the tree's objects where they lie, without sending them: S3 Batch Operations, Compute
 * checksum (adapters/aws/batch-jobs.ts). A manifest in the vault says of which, a report in the vault what they are.
 */
export interface ChecksumJobs {
  /** The tree's bucket, as manifests and reports name it. */
  readonly treeBucket: string;
  /** The vault's. */
  readonly vaultBucket: string;
  /**
   * Begins a job. Of one token there is one job: who asks again with the same order is told the same id.
   * @throws MirrorError unauthorized where the rights or the job's role are missing; transient when the outcome is unknown.
   */
  create(order: JobOrder): Promise<string>;
  /** @returns undefined where there is no such job any more: S3 forgets them after 90 days. */
  describe(job: string): Promise<JobDescription | undefined>;
}

export interface JobOrder {
  /** At most 64 characters. */
  readonly token: string;
  /** A key in the vault, with the ETag that it must have. */
  readonly manifest: { readonly key: string; readonly etag: string };
  /** The report comes below it, without a slash at its end. */
  readonly reportPrefix: string;
  readonly description: string;
}

/** As the service has them (Amazon S3 API, JobDescriptor, Status). */
export const JOB_STATUSES = [
  "New",
  "Preparing",
  "Suspended",
  "Ready",
  "Active",
  "Pausing",
  "Paused",
  "Completing",
  "Complete",
  "Cancelling",
  "Cancelled",
  "Failing",
  "Failed",
] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export interface JobDescription {
  readonly status: JobStatus;
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Why it failed, each on one line. */
  readonly reasons: readonly string[];
  /** What it was made of: another job's report says nothing of ours. */
  readonly manifest: { readonly key: string; readonly etag: string };
  readonly reportPrefix: string;
}

export const hasEnded = (status: JobStatus): boolean =>
  status === "Complete" || status === "Failed" || status === "Cancelled";
