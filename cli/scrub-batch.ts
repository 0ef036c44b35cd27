import { misuse } from "../mirror/errors.ts";
import { type ChecksumScrubResult, checksumScrub } from "../mirror/scrub/checksum-scrub.ts";
import type { ScrubParts } from "../mirror/scrub/scrub.ts";
import { jsonLine } from "./json-line.ts";
import type { OpenMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/**
 * `modferry scrub --deep --batch`: the next step of a scrub by a job of S3's, together with the function that looks after
 * the same job.
 * @returns the exit status: 1 where anything was found, or another process is at it.
 */
export async function scrubByJob(
  { checksumJobs: jobs, spools }: OpenMirror,
  parts: ScrubParts,
  { scrub: { shard }, json }: Options,
  output: Output,
): Promise<number> {
  if (jobs === undefined) throw misuse("--batch", "--batch: give --mirror aws:NAME");
  const spool = spools.spool.bind(spools);
  const result = await checksumScrub({ ...parts, jobs, spool }, shard);
  if (result === undefined) {
    output.error(
      "modferry: another scrub looks after this job now, or was killed less than six minutes ago; try again then",
    );
    return 1;
  }
  if (json) output.print(jsonLine({ event: "checksum-job", ...result }));
  else output.error(`modferry: ${lineOf(result)}`);
  return result.step === "compared" && result.counts.findings > 0 ? 1 : 0;
}

function lineOf(result: ChecksumScrubResult): string {
  switch (result.step) {
    case "resting":
      return `scrub ${result.run} has ended`;
    case "waiting": {
      const { status, total, succeeded, failed } = result.description;
      const far = `${succeeded + failed} of ${total} files, ${failed} failed`;
      return `checksum job ${result.job}: ${status}, ${far}; run it again later to have its report compared`;
    }
    case "compared": {
      const { files, findings, restored, lost } = result.counts;
      const found =
        findings === 0
          ? "nothing found"
          : `${findings} findings: ${restored} restored, ${lost} lost, ${findings - restored - lost} open`;
      const end = result.finished ? "" : "; run it again to go on";
      return result.job === undefined
        ? "no file is held: nothing to hash"
        : `checksum job ${result.job}: ${files} files compared; ${found}${end}`;
    }
  }
}
