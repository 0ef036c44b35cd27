import { hostname } from "node:os";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { zipHasher } from "../adapters/local/zip-checker.ts";
import { ZipThreads } from "../adapters/local/zip-threads.ts";
import { MirrorError } from "../mirror/errors.ts";
import type { ScrubFinding, SettledFinding } from "../mirror/scrub/finding.ts";
import { mend } from "../mirror/scrub/mend.ts";
import { type ScrubParts, type ScrubResult, scrub as scrubMirror } from "../mirror/scrub/scrub.ts";
import { SpooledRuns } from "../mirror/snapshot/spooled-runs.ts";
import type { Verifier } from "../sumdb/note.ts";
import { chosenSumdbs } from "./chosen-sumdbs.ts";
import { countedCalls } from "./counted-calls.ts";
import { openBeside, openEmbedded } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { heldTiles } from "./held-tiles.ts";
import { jsonLine } from "./json-line.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { scrubByJob } from "./scrub-batch.ts";
import { keepHeapSmall } from "./small-heap.ts";

/**
 * `modferry scrub`: looks whether tree and ledger agree, and mends what does not, beside a `sync` that goes on. To mend,
 * the mirror is written for moments; while another process writes it, findings are left open.
 * @returns the exit status: 1 where anything was found, mended or not.
 */
export async function scrub(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openMirror(options, environment, { mode: "beside" });
  keepHeapSmall();
  // Not in the mirror's own folder, which is swept by whoever begins to write it.
  const scratch = new ScratchFolder();
  const spools = new SpoolFolder(scratch.path);
  const runs = new SpooledRuns((chunks, limit, subject) => spools.spool(chunks, limit, subject));
  const threads = options.scrub.level === "deep" && !options.scrub.batch ? new ZipThreads() : undefined;
  try {
    const { sumdbs } = await chosenSumdbs(options, environment);
    const verifiers = sumdbs.map(({ verifier }) => verifier);
    const { tree, ledger, calls } = countedCalls(mirror.tree, mirror.ledger);
    const names = verifiers.map(({ name }) => name);
    const own = { ...options, tiles: await heldTiles(mirror.ledger, names) };
    const began = performance.now();
    const parts: ScrubParts = {
      tree,
      ledger,
      vault: mirror.vault,
      zips: threads ?? zipHasher,
      verifiers,
      runs,
      now: Date.now,
      owner: `${hostname()}:${process.pid}`,
      mend: (findings) =>
        mirror.deployed
          ? mendDeployed(mirror, own, environment, verifiers, findings)
          : mendEmbedded(own, environment, verifiers, findings),
      report: (finding) => print(finding, options, output),
      progress: ({ modules, versions, files, bytes }) =>
        output.status?.(
          `${modules} modules, ${versions} versions, ${files} files, ${(bytes / 1e6).toFixed(1)} MB`,
        ),
    };
    if (options.scrub.batch) return await scrubByJob(mirror, parts, options, output);
    const result = await scrubMirror(parts, options.scrub.level, options.scrub.shard);
    if (result === undefined) {
      output.error(
        "modferry: another scrub of this level is at work, or was killed less than six minutes ago; try again then",
      );
      return 1;
    }
    const seconds = (performance.now() - began) / 1000;
    if (options.json)
      output.print(jsonLine({ event: "scrubbed", level: options.scrub.level, ...result, calls, seconds }));
    else output.error(summaryOf(result, calls, seconds));
    return result.counts.findings === 0 ? 0 : 1;
  } finally {
    await threads?.close();
    await runs.dispose();
    scratch.remove();
    await mirror.close();
  }
}

/** With the mirror to itself, and given back at once: a `sync --every` goes on in between. */
async function mendEmbedded(
  options: Options,
  environment: CliEnvironment,
  verifiers: readonly Verifier[],
  findings: readonly ScrubFinding[],
): Promise<readonly SettledFinding[]> {
  try {
    const embedded = await openEmbedded(options, environment, () => {}).catch(misuseAlone);
    if (!(embedded instanceof MirrorError)) {
      try {
        const { parts, databases } = embedded;
        return await mend({ ...parts, alone: true, upstream: parts, databases, verifiers }, findings);
      } finally {
        await embedded.close();
      }
    }
    // No upstream, as on an island: lists and heads come from the ledger.
    const island = await openMirror(options, environment, { mode: "write" });
    try {
      return await mend({ ...island, alone: true, databases: [], verifiers }, findings);
    } finally {
      await island.close();
    }
  } catch (thrown) {
    // Another process writes it.
    const { message } = misuseAlone(thrown);
    return findings.map(({ repair: _repair, ...finding }) => ({
      ...finding,
      outcome: "open",
      remedy: message,
    }));
  }
}

/** Beside its functions, as their own scrub does; from upstream only where that is named: a desk's own may be this mirror. */
async function mendDeployed(
  mirror: OpenMirror,
  options: Options,
  environment: CliEnvironment,
  verifiers: readonly Verifier[],
  findings: readonly ScrubFinding[],
): Promise<readonly SettledFinding[]> {
  if (options.upstream === undefined && options.config === undefined)
    return await mend({ ...mirror, alone: false, databases: [], verifiers }, findings);
  const beside = await openBeside(mirror, options, environment, () => {});
  try {
    const { parts, databases } = beside;
    return await mend({ ...parts, alone: false, upstream: parts, databases, verifiers }, findings);
  } finally {
    await beside.close();
  }
}

/** @throws what is no misuse: a disk that does not answer is not a finding. */
function misuseAlone(thrown: unknown): MirrorError {
  if (thrown instanceof MirrorError && thrown.class === "misuse") return thrown;
  throw thrown;
}

function print(finding: SettledFinding, { json }: Options, output: Output): void {
  const { subject, message, outcome, remedy } = finding;
  const end = remedy === undefined ? "" : `: ${remedy}`;
  if (json) output.print(jsonLine({ event: "finding", ...finding }));
  else output.print(oneLine(`${subject}: ${message}; ${outcome}${end}`));
}

function summaryOf(
  { counts, finished }: ScrubResult,
  calls: Readonly<Record<string, number>>,
  seconds: number,
): string {
  const { modules, versions, files, bytes, findings, restored, lost } = counts;
  const looked = `${modules} modules, ${versions} versions, ${files} files, ${(bytes / 1e6).toFixed(1)} MB`;
  const found =
    findings === 0
      ? "nothing found"
      : `${findings} findings: ${restored} restored, ${lost} lost, ${findings - restored - lost} open`;
  const perMillion = Object.entries(calls)
    .map(([name, count]) => `${name} ${Math.round((count * 1e6) / Math.max(1, versions))}`)
    .join(", ");
  const end = finished ? "" : "; run it again to go on";
  return `modferry: ${looked} in ${seconds.toFixed(1)} s; ${found}${end}\ncalls per million versions: ${perMillion}`;
}
