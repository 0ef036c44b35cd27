import { WriterBusy } from "../adapters/local/writer-lock.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { type BlockParts, block as blockNow, handInBlock } from "../mirror/block.ts";
import { BLOCKS_FRESH, blockName } from "../mirror/blocks.ts";
import { misuse } from "../mirror/errors.ts";
import type { MirrorEvent } from "../mirror/events.ts";
import { type GivenBack, unblock as unblockNow } from "../mirror/unblock.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { leftToWriter } from "./left-to-writer.ts";
import { type OpenMirror, openMirror } from "./open-mirror.ts";
import { reasonOf, whoever } from "./operator.ts";
import type { Options } from "./options.ts";
import { type Output, oneLine } from "./output.ts";

/** `modferry block`: takes a version, or all modules of a pattern, out of what is served. */
export async function block(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  const name = oneName("block", options);
  const reason = reasonOf(options, "whoever asks for it is");
  const by = whoever(options);
  let mirror: OpenMirror;
  try {
    mirror = await openMirror(options, environment, { mode: "write", existing: true });
  } catch (thrown) {
    if (!(thrown instanceof WriterBusy)) throw thrown;
    return await leaveToWriter(options, environment, name, reason, by, output);
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
  environment: CliEnvironment,
  name: string,
  reason: string,
  by: string,
  output: Output,
): Promise<number> {
  const mirror = await openMirror(options, environment, { mode: "beside" });
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
  environment: CliEnvironment,
  output: Output,
): Promise<number> {
  const name = oneName("unblock", options);
  const by = whoever(options);
  let mirror: OpenMirror;
  try {
    mirror = await openMirror(options, environment, { mode: "write", existing: true });
  } catch (thrown) {
    if (!(thrown instanceof WriterBusy)) throw thrown;
    const done = await leftToWriter(options, environment, { verb: "unblock", name, by });
    if (done === undefined) return await unblock(options, environment, output);
    return sayUnblocked(done as unknown as GivenBack, name, by, false, options, output);
  }
  try {
    const done = await unblockNow(partsOf(mirror, options, output), name, by);
    return sayUnblocked(done, name, by, mirror.deployed, options, output);
  } finally {
    await mirror.close();
  }
}

function sayUnblocked(
  done: GivenBack,
  name: string,
  by: string,
  deployed: boolean,
  { json }: Options,
  output: Output,
): number {
  if (json) output.print(jsonLine({ event: "unblock", name, by, ...done }));
  else
    output.error(
      `${name}: ${done.restored} versions are served again; ${done.versions - done.restored} were never here whole, and are fetched by ${deployed ? "its functions" : "the next sync"}`,
    );
  return 0;
}

function oneName(verb: string, { arguments: [name, surplus] }: Options): string {
  if (name === undefined)
    throw misuse("NAME", `no name: give one, such as: modferry ${verb} example.com/bad@v1.2.3 …`);
  if (surplus !== undefined) throw misuse(surplus, `${surplus}: \`modferry ${verb}\` takes one name`);
  return blockName(name);
}

function partsOf({ tree, vault, ledger, queue }: OpenMirror, options: Options, output: Output): BlockParts {
  const report = (event: MirrorEvent) => {
    if (event.event !== "blocked" && event.event !== "unblocked") return;
    const version = `${event.version.path}@${event.version.version}`;
    if (options.json) output.print(jsonLine({ event: event.event, version }));
    else output.error(oneLine(`${event.event} ${version}`));
  };
  return { tree, vault, ledger, queue, zips: zipChecker, now: Date.now, report };
}
