import type { Context } from "aws-lambda";
import { z } from "zod";
import { sumdbEntries } from "../adapters/configuration/sumdb-shape.ts";
import { zipHasher } from "../adapters/local/zip-checker.ts";
import { duration } from "../mirror/duration.ts";
import type { ScrubFinding, SettledFinding } from "../mirror/scrub/finding.ts";
import { mend } from "../mirror/scrub/mend.ts";
import { SCRUB_LEVELS, scrub } from "../mirror/scrub/scrub.ts";
import { parseShard } from "../mirror/scrub/tree-order.ts";
import { SpooledRuns } from "../mirror/snapshot/spooled-runs.ts";
import { checksumJobs, scrubByJob } from "./checksum-job.ts";
import { readFunctionEnvironment } from "./environment.ts";
import { FunctionLog } from "./function-log.ts";
import { deadlineOf, mirrorParts, owner, scratchSpool } from "./parts.ts";

const environment = readFunctionEnvironment(process.env);
const log = new FunctionLog(environment);
const parts = mirrorParts(environment, log.report);
const verifiers = sumdbEntries(environment.engine.sumdb).map(({ verifier }) => verifier);

/**
 * What a schedule gives: `{"level": "quick"}`, or `{"level": "deep", "shard": "3/16"}` for one of sixteen at a time; or
 * `{"level": "batch", "every": "30d"}`, which looks after the checksum job, and without `every` orders one now.
 */
const shape = z.strictObject({
  level: z.enum([...SCRUB_LEVELS, "batch"]),
  every: duration.optional(),
  shard: z
    .string()
    .default("1/1")
    .transform((text, context) => {
      const shard = parseShard(text);
      if (shard !== undefined) return shard;
      context.addIssue({ code: "custom", message: "give a part and how many there are, such as 3/16" });
      return z.NEVER;
    }),
});

/**
 * A part of a scrub: goes on where the last call of this level and shard was stopped by its time. Others write the mirror
 * meanwhile, so what is on a list and not noted yet stays there.
 */
export const handler = (event: unknown, context: Context): Promise<{ readonly finished: boolean }> =>
  log.call(async () => {
    const { level, shard, every } = shape.parse(event);
    const { tree, ledger, vault, databases, now } = parts;
    const spool = scratchSpool();
    const runs = new SpooledRuns(spool);
    const mending = { tree, ledger, alone: false, upstream: parts, databases, verifiers };
    try {
      const common = {
        tree,
        ledger,
        vault,
        verifiers,
        runs,
        now,
        owner,
        zips: zipHasher,
        deadline: deadlineOf(context),
        mend: (findings: readonly ScrubFinding[]) => mend(mending, findings),
        report: ({ kind, subject, message, outcome, remedy = "" }: SettledFinding) =>
          log.write({
            level: outcome === "lost" ? "error" : "warn",
            action: "scrub-finding",
            message,
            labels: { kind, subject, outcome, remedy },
          }),
        progress: () => {},
      };
      if (level === "batch")
        return await scrubByJob({ ...common, spool, jobs: checksumJobs(environment) }, log, shard, every);
      const done = await scrub(common, level, shard);
      const named = { level, shard: `${shard.index}/${shard.of}` };
      if (done === undefined) {
        log.write({ level: "info", action: "scrub-skipped", message: "another is at work", labels: named });
        return { finished: false };
      }
      const { run, finished, counts } = done;
      log.metrics.add("ScrubFindings", "Count", counts.findings);
      log.metrics.add("ScrubLost", "Count", counts.lost);
      const labels = { run, ...named, finished, ...counts };
      log.write({ level: "info", action: "scrubbed", message: "tree and ledger are compared", labels });
      return { finished };
    } finally {
      await runs.dispose();
    }
  });
