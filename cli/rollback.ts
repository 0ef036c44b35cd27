import { userInfo } from "node:os";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { misuse } from "../mirror/errors.ts";
import type { Ledger } from "../mirror/ports.ts";
import { rollback } from "../mirror/recovery/rollback.ts";
import { snapshotName } from "../mirror/snapshot/snapshot-name.ts";
import { SpooledRuns } from "../mirror/snapshot/spooled-runs.ts";
import { ALL_TICKS } from "../mirror/tick-hold.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/**
 * `modferry rollback SNAPSHOT`: lists and `@latest` as that snapshot had them, and the mark moved back.
 * @returns the exit status: 1 where something that was listed then cannot be now.
 */
export async function rollbackVerb(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const [text, other] = options.arguments;
  if (text === undefined || other !== undefined)
    throw misuse("SNAPSHOT", "SNAPSHOT: give the name of one snapshot (`modferry snapshot list`)");
  const name = snapshotName(text);
  const mirror = await openMirror(options, environment, { mode: "write", holds: ALL_TICKS }, output);
  const scratch = new ScratchFolder();
  const spools = new SpoolFolder(scratch.path);
  const runs = new SpooledRuns((chunks, limit, subject) => spools.spool(chunks, limit, subject));
  try {
    const { tree, vault, ledger } = mirror;
    if (mirror.deployed) await refuseBesideRequests(ledger);
    const found = ({ subject, message }: { readonly subject: string; readonly message: string }) => {
      if (options.json) output.print(jsonLine({ event: "finding", subject, message }));
      else output.print(oneLine(`${subject}: ${message}`));
    };
    const by = options.by ?? userInfo().username;
    const result = await rollback({ tree, vault, ledger, runs, now: Date.now, found }, name, by);
    const { modules, listed, unlisted, findings, marked } = result;
    if (options.json) output.print(jsonLine({ event: "rolled-back", ...result }));
    else
      output.error(
        `modferry: ${modules} lists are as ${name} had them: ${unlisted} versions taken off, ${listed} put back, ` +
          `${findings} not to be had${marked ? "; bundles from there on can be imported again" : ""}`,
      );
    return findings === 0 ? 0 : 1;
  } finally {
    await runs.dispose();
    scratch.remove();
    await mirror.close();
  }
}

/** A request that is settled meanwhile would list what is taken off here. */
async function refuseBesideRequests(ledger: Pick<Ledger, "requests">): Promise<void> {
  const open: string[] = [];
  for await (const { name, time, state } of ledger.requests())
    if (state === "OPEN" || state === "RESOLVED") open.push(`${name}/${time}`);
  const [first] = open;
  if (first === undefined) return;
  throw misuse(
    "--mirror",
    `--mirror: ${open.length} requests are being worked on, such as ${first}: \`modferry pause\` keeps feeds from bringing more, and \`modferry status\` shows when they are done`,
  );
}
