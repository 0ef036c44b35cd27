import { type FolderMirror, openFolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { WriterBusy } from "../adapters/local/writer-lock.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { type BlockParts, block as blockNow, handInBlock } from "../mirror/block.ts";
import { BLOCKS_FRESH, blockName } from "../mirror/blocks.ts";
import { misuse } from "../mirror/errors.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import { unblock as unblockNow } from "../mirror/unblock.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { reasonOf, whoever } from "./operator.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** `modferry block`: takes a version, or all modules of a pattern, out of what is served. */
export async function block(options: Options, _environment: CliEnvironment, output: Output): Promise<number> {
  const name = oneName("block", options);
  const reason = reasonOf(options, "whoever asks for it is");
  const by = whoever(options);
  let mirror: FolderMirror;
  try {
    mirror = await openFolderMirror(options.mirror, { mode: "write", existing: true });
  } catch (thrown) {
    if (!(thrown instanceof WriterBusy)) throw thrown;
    return await leaveToWriter(options, name, reason, by, output);
  }
  try {
    const done = await blockNow(partsOf(mirror, options, output), name, reason, by);
    if (options.json) output.print(jsonLine({ event: "block", name, reason, by, ...done }));
    else
      output.error(
        `${name}: ${done.versions} versions taken out, and ${done.roots} off their lists that need one; \`modferry unblock ${name}\` brings them back`,
      );
    return 0;
  } finally {
    await mirror.close();
  }
}

/** Endpoints go by the block at once; who is writing the mirror takes the files out. */
async function leaveToWriter(
  options: Options,
  name: string,
  reason: string,
  by: string,
  output: Output,
): Promise<number> {
  const mirror = await openFolderMirror(options.mirror, { mode: "beside" });
  try {
    await handInBlock(partsOf(mirror, options, output), name, reason, by);
  } finally {
    await mirror.close();
  }
  if (options.json) output.print(jsonLine({ event: "block", name, reason, by, leftToWriter: true }));
  else
    output.error(
      `${name}: blocked: endpoints answer 403 within ${BLOCKS_FRESH / 1000} s; who is writing the mirror takes its files and its places in lists out within seconds, or else the next sync`,
    );
  return 0;
}

/** `modferry unblock`: lets what a block took out come back. */
export async function unblock(
  options: Options,
  _environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const name = oneName("unblock", options);
  const by = whoever(options);
  const mirror = await openFolderMirror(options.mirror, { mode: "write", existing: true });
  try {
    const done = await unblockNow(partsOf(mirror, options, output), name, by);
    if (options.json) output.print(jsonLine({ event: "unblock", name, by, ...done }));
    else
      output.error(
        `${name}: ${done.restored} versions are served again; ${done.versions - done.restored} were never here whole, and are fetched by the next sync`,
      );
    return 0;
  } finally {
    await mirror.close();
  }
}

function oneName(verb: string, { arguments: [name, surplus] }: Options): string {
  if (name === undefined)
    throw misuse("NAME", `no name: give one, such as: modferry ${verb} example.com/bad@v1.2.3 …`);
  if (surplus !== undefined) throw misuse(surplus, `${surplus}: \`modferry ${verb}\` takes one name`);
  return blockName(name);
}

function partsOf({ tree, vault, ledger }: FolderMirror, options: Options, output: Output): BlockParts {
  const report = (event: MirrorEvent) => {
    if (event.event !== "blocked" && event.event !== "unblocked") return;
    const version = `${event.version.path}@${event.version.version}`;
    if (options.json) output.print(jsonLine({ event: event.event, version }));
    else output.error(oneLine(`${event.event} ${version}`));
  };
  // What is queued is in the ledger too: the next sync does it.
  const queue = new MemoryQueue();
  return { tree, vault, ledger, queue, zips: zipChecker, now: Date.now, report };
}
