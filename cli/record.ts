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
import { syncRequest } from "./sync.ts";
import { chooseUpstream } from "./upstream-choice.ts";

/**
 * `modferry record`: runs a command with a recording proxy as its GOPROXY and an empty module cache, and makes a request
 * of what it asked and got. A command that fails leaves what it asked until then; one that was stopped leaves nothing.
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
  if (options.to !== undefined) await replaceFile(options.to, readable(body));
  tell(options, output, body, end);
  if (!options.mirrorNamed) return end.status;
  const synced = await syncOrKeep(body, options, environment, output);
  return end.status === 0 ? synced : end.status;
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
      netrc: environment.netrc(),
    });
    const relay = new RecordingRelay(upstream);
    const proxy = await startLoopbackProxy(relay.answer);
    try {
      const run = await proxiedRun(environment.variables, proxy.url, scratch, "as it is");
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

function tell(options: Options, output: Output, { recorded }: RequestBody, { status }: CommandEnd): void {
  const to = options.to === undefined ? {} : { to: options.to };
  if (options.json) {
    output.print(jsonLine({ event: "recorded", files: recorded.length, status, ...to }));
    return;
  }
  const where = options.to === undefined ? "" : `: ${oneLine(options.to)}`;
  output.error(
    recorded.length === 0
      ? `modferry: the command asked for nothing; the recording is empty${where}`
      : `modferry: ${recorded.length} files recorded${where}`,
  );
  if (status !== 0)
    output.error(
      `modferry: the command ended with ${status}; the recording holds what it had asked until then`,
    );
}

/** What a long run has recorded is not lost where the mirror cannot be written now. */
async function syncOrKeep(
  body: RequestBody,
  options: Options,
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  try {
    return await syncRequest(body, options.name, options, environment, output);
  } catch (thrown) {
    if (options.to === undefined) {
      const kept = join(tmpdir(), `modferry-recording-${requestTimeOf(Date.now())}.json`);
      await replaceFile(kept, readable(body));
      output.error(`modferry: the recording is kept in ${kept}; \`modferry sync ${kept}\` mirrors it`);
    }
    throw thrown;
  }
}
