import { type FolderMirror, openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import type { Missing } from "../mirror/missing.ts";
import { missingTable } from "../mirror/missing-table.ts";
import { Rehearsal, type Rehearsed } from "../mirror/rehearsal.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { startLoopbackProxy } from "./loopback-proxy.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";
import { proxiedRun } from "./proxied-environment.ts";
import { readRehearsed } from "./rehearsed-request.ts";
import { type CommandEnd, runCommand } from "./run-command.ts";

/**
 * `modferry rehearse`: runs a command against the mirror alone, in empty caches and as a client that has never seen the
 * checksum database, and names every file that was missing. What the mirror has only because of other requests counts as
 * missing from this one.
 * @returns 0 when the command ended with 0 and nothing was missing, else 1.
 */
export async function rehearse(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const mirror = await openFolderMirror(options.mirror, { mode: "read" });
  try {
    const request = await readRehearsed(options, mirror, output);
    const { rehearsal, end } = await runRehearsed(mirror, options, environment, output);
    if (end.stoppedBy !== undefined) {
      output.error(`modferry: stopped by ${end.stoppedBy}; nothing is concluded`);
      return end.status === 0 ? 1 : end.status;
    }
    const found = await rehearsal.result(request);
    const missing = [...request.missing, ...found.missing];
    print(options, output, { ...found, missing }, end);
    return end.status === 0 && missing.length === 0 && found.outside.length === 0 ? 0 : 1;
  } finally {
    await mirror.close();
  }
}

async function runRehearsed(
  mirror: FolderMirror,
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<{ rehearsal: Rehearsal; end: CommandEnd }> {
  const rehearsal = new Rehearsal({ tree: mirror.tree, ledger: mirror.ledger, now: Date.now });
  const scratch = new ScratchFolder();
  try {
    const proxy = await startLoopbackProxy(rehearsal.answer);
    try {
      const run = await proxiedRun(environment.variables, proxy.url, scratch, "none");
      if (run.bypass !== undefined) output.error(`modferry: ${run.bypass}`);
      const stdout = options.json ? "to stderr" : "inherit";
      return { rehearsal, end: await runCommand(options.command, { environment: run.environment, stdout }) };
    } finally {
      await proxy.close();
    }
  } finally {
    scratch.remove();
  }
}

function print(options: Options, output: Output, found: Rehearsed, { status }: CommandEnd): void {
  const unknown = status === 0 ? [] : found.unknown;
  if (options.json) {
    for (const entry of found.missing) output.print(jsonLine({ event: "missing", ...entry }));
    for (const entry of found.outside) output.print(jsonLine({ event: "outside", ...entry }));
    for (const entry of found.unlisted) output.print(jsonLine({ event: "unlisted", ...entry }));
    for (const entry of unknown) output.print(jsonLine({ event: "unknown", ...entry }));
    const counts = { asked: found.asked, missing: found.missing.length, outside: found.outside.length };
    output.print(jsonLine({ event: "rehearsed", status, ...counts }));
    return;
  }
  if (status !== 0) output.error(`modferry: the command ended with ${status}`);
  table(output, "missing", found.missing);
  table(output, "held, but not for this request", found.outside);
  table(output, "of these modules go was offered no version for this request", found.unlisted);
  table(output, "asked too, of paths that this mirror does not know (go tries every prefix)", unknown);
  if (found.missing.length + found.outside.length === 0)
    output.error(`modferry: ${found.asked} files asked, none missing`);
}

function table(output: Output, heading: string, rows: readonly Missing[]): void {
  if (rows.length === 0) return;
  output.error(`${heading}: ${rows.length}`);
  for (const line of missingTable(rows).slice(1)) output.error(line);
}
