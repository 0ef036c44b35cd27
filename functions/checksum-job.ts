import { BatchJobs } from "../adapters/aws/batch-jobs.ts";
import { s3Client } from "../adapters/aws/clients.ts";
import { milliseconds } from "../mirror/duration.ts";
import { misuse } from "../mirror/errors.ts";
import type { ChecksumJobs } from "../mirror/scrub/checksum-jobs.ts";
import { type ChecksumScrubParts, checksumScrub } from "../mirror/scrub/checksum-scrub.ts";
import type { Shard } from "../mirror/scrub/tree-order.ts";
import type { FunctionEnvironment } from "./environment.ts";
import type { FunctionLog } from "./function-log.ts";
import { awsSettings } from "./parts.ts";

/** @throws MirrorError misuse where none are configured. */
export function checksumJobs(environment: FunctionEnvironment): ChecksumJobs {
  const { batchRole: roleArn, region, treeBucket, vaultBucket, endpointUrl } = environment;
  if (roleArn === undefined)
    throw misuse(
      "level",
      "level: batch: no role for it is deployed; configure schedule.scrub.batch, and deploy",
    );
  const client = s3Client(awsSettings(environment).settings);
  return new BatchJobs({
    client,
    region,
    roleArn,
    treeBucket,
    vaultBucket,
    ...(endpointUrl && { endpointUrl }),
  });
}

/**
 * The next step of a scrub by a checksum job: orders it, looks at it, or compares its report.
 * @param every as the configuration has it; left out: a new one is ordered unless one is under way.
 * @returns whether nothing is under way.
 */
export async function scrubByJob(
  parts: ChecksumScrubParts,
  log: FunctionLog,
  shard: Shard,
  every: string | undefined,
): Promise<{ readonly finished: boolean }> {
  const result = await checksumScrub(parts, shard, every === undefined ? undefined : milliseconds(every));
  const named = { level: "batch", shard: `${shard.index}/${shard.of}` };
  const told = (
    action: string,
    message: string,
    labels: Readonly<Record<string, string | number | boolean>>,
  ) => log.write({ level: "info", action, message, labels: { ...named, ...labels } });
  if (result === undefined) {
    told("scrub-skipped", "another is at work", {});
    return { finished: false };
  }
  const { run } = result;
  switch (result.step) {
    case "resting":
      return { finished: true };
    case "waiting": {
      const { status, total, succeeded, failed } = result.description;
      told("checksum-job", "S3 is at work", { run, job: result.job, status, total, succeeded, failed });
      return { finished: false };
    }
    case "compared": {
      const { counts, finished, job = "" } = result;
      log.metrics.add("ScrubFindings", "Count", counts.findings);
      log.metrics.add("ScrubLost", "Count", counts.lost);
      told("scrubbed", "report and ledger are compared", { run, job, finished, ...counts });
      return { finished };
    }
  }
}
