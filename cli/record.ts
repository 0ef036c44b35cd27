import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { checkWritable, replaceFile } from "../adapters/local/replace-file.ts";
import { ScratchFolder } from "../adapters/local/scratch-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { defaultUpstream } from "../adapters/upstream/default-upstream.ts";
import { type OpenedUpstream, openUpstream } from "../adapters/upstream/open-upstream.ts";
import { misuse } from "../mirror/errors.ts";
import { recordingRequest } from "../mirror/recording.ts";
import { MOST_RECORDED, type RequestBody, requestTimeOf } from "../mirror/requests.ts";
import { LONGEST_REPLY } from "./embedded.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { startLoopbackProxy } from "./loopback-proxy.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";
import { proxiedRun } from "./proxied-environment.ts";
import { RecordingRelay } from "./recording-relay.ts";
import { type CommandEnd, runCommand } from "./run-command.ts";
import { syncRequests } from "./sync.ts";
import { chooseUpstream } from "./upstream-choice.ts";

/**
 * `modferry record`: runs a command with a recording proxy as its GOPROXY and an empty module cache, and makes a request
 * of what it asked and got. A command that fails leaves what it asked until then, but over no earlier recording and not
 * in a mirror; one that asked nothing or was stopped leaves nothing.
 * @returns the command's own status; where that is 0, that of the sync.
 */
export async function record(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  if (options.to === undefined && !options.mirrorNamed)
    throw misuse(
      "--to",
      "nowhere to put the recording: give --to FILE.json, or --mirror ADDR to sync it at once",
    );
  // A long run should not end with a place that was never there.
  if (options.to !== undefined) await checkWritable(options.to);
  if (options.mirrorNamed) await (await openFolderMirror(options.mirror, { mode: "write" })).close();
  const { relay, end } = await runRecorded(options, environment, output);
  if (end.stoppedBy !== undefined) {
    output.error(`modferry: stopped by ${end.stoppedBy}; nothing is recorded`);
    return end.status === 0 ? 1 : end.status;
  }
  if (relay.overflowed) {
    const message = `the command asked for more than ${MOST_RECORDED} files; record it in parts`;
    throw misuse("COMMAND", message);
  }
  const body = recordingRequest(relay.keys);
  const isWritten = await keep(options, body, end);
  tell(options, output, body, end, isWritten);
  if (!options.mirrorNamed || body.recorded.length === 0) return end.status;
  if (end.status !== 0) {
    const remedy = options.to === undefined ? "; give --to FILE.json to keep what it had asked" : "";
    output.error(`modferry: the command ended with ${end.status}; its recording is not synced${remedy}`);
    return end.status;
  }
  const { tier, graph } = options;
  return await syncOrKeep({ ...body, tier, graph }, options, environment, output);
}

async function runRecorded(
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<{ relay: RecordingRelay; end: CommandEnd }> {
  // Only a mirror that is to be filled cannot be its own upstream: what another serves may well be recorded.
  const url = options.mirrorNamed
    ? await chooseUpstream(options, environment)
    : (options.upstream ?? defaultUpstream(await environment.goproxy()));
  const scratch = new ScratchFolder();
  let upstream: OpenedUpstream | undefined;
  try {
    const spools = new SpoolFolder(scratch.folder("spools"));
    upstream = openUpstream(url, {
      spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
      ...(options.sumdbs[0] && { database: options.sumdbs[0].verifier.name }),
      timing: { whole: LONGEST_REPLY },
      netrc: await environment.netrc(),
      egress: environment.egress(),
    });
    const relay = new RecordingRelay(upstream);
    const proxy = await startLoopbackProxy(relay.answer);
    try {
      const run = await proxiedRun(environment.variables, proxy.url, scratch, "as the user has it");
      if (run.bypass !== undefined) output.error(`modferry: ${run.bypass}`);
      const stdout = options.json ? "to stderr" : "inherit";
      const end = await runCommand(options.command, { environment: run.environment, stdout });
      return { relay, end };
    } finally {
      await proxy.close();
    }
  } finally {
    await upstream?.close();
    scratch.remove();
  }
}

/** A file each line: people look into it, and compare two. */
function readable(body: RequestBody): Uint8Array {
  return Buffer.from(`${JSON.stringify(body, undefined, 1)}\n`);
}

/** A recording that is there already was made by a command that passed, as far as we know. @returns whether it is written. */
async function keep({ to }: Options, body: RequestBody, { status }: CommandEnd): Promise<boolean> {
  if (to === undefined || body.recorded.length === 0 || (status !== 0 && existsSync(to))) return false;
  await replaceFile(to, readable(body));
  return true;
}

/** @param isWritten whether --to has it. */
function tell(
  options: Options,
  output: Output,
  { recorded }: RequestBody,
  { status }: CommandEnd,
  isWritten: boolean,
): void {
  const to = options.to !== undefined && isWritten ? { to: options.to } : {};
  if (options.json) output.print(jsonLine({ event: "recorded", files: recorded.length, status, ...to }));
  const ended = `the command ended with ${status}`;
  if (recorded.length === 0) {
    const began = status === 0 ? "the command" : `${ended} and`;
    output.error(`modferry: ${began} asked for nothing; nothing is recorded`);
  } else if (options.to !== undefined && !isWritten) {
    output.error(`modferry: ${ended}; ${oneLine(options.to)} is kept as it was`);
  } else if (!options.json && (status === 0 || isWritten)) {
    const where = options.to === undefined ? "" : `: ${oneLine(options.to)}`;
    output.error(`modferry: ${recorded.length} files recorded${where}`);
    if (status !== 0) output.error(`modferry: ${ended}; the recording holds what it had asked until then`);
  }
}

/** What a long run has recorded is not lost where the mirror cannot be written now. */
async function syncOrKeep(
  body: RequestBody,
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  try {
    return await syncRequests([body], options.name, options, environment, output);
  } catch (thrown) {
    if (options.to === undefined) {
      const kept = join(tmpdir(), `modferry-recording-${requestTimeOf(Date.now())}.json`);
      await replaceFile(kept, readable(body));
      output.error(`modferry: the recording is kept in ${kept}; \`modferry sync ${kept}\` mirrors it`);
    }
    throw thrown;
  }
}
