import { zipChecker } from "../adapters/local/zip-checker.ts";
import { verifyMirror } from "../mirror/verify.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** A terminal's line is rewritten after so many files. */
const FILES_PER_LINE = 100;

/** `modferry verify`: reads back and proves every file; 1 and a list where anything is off. */
export async function verify(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    let read = 0;
    let bytes = 0;
    const progress = (size: number) => {
      bytes += size;
      if (++read % FILES_PER_LINE === 0) output.status?.(`${read} files, ${(bytes / 1e6).toFixed(1)} MB`);
    };
    const { tree, ledger } = mirror;
    const verifiers = options.sumdbs.map(({ verifier }) => verifier);
    const { files, findings } = await verifyMirror({ tree, ledger, zips: zipChecker, verifiers, progress });
    for (const finding of findings) {
      if (options.json) output.print(jsonLine({ event: "finding", ...finding }));
      else output.print(oneLine(`${finding.subject}: ${finding.message}`));
    }
    if (options.json) output.print(jsonLine({ event: "verified", files, bytes, findings: findings.length }));
    else output.error(`${files} files, ${(bytes / 1e6).toFixed(1)} MB read, ${findings.length} findings`);
    return findings.length === 0 ? 0 : 1;
  } finally {
    await mirror.close();
  }
}
