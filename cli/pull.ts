import { realpath, rm } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { TemporaryFolder } from "../adapters/local/durable-folder.ts";
import { codeOf, fileError } from "../adapters/local/file-error.ts";
import { FolderTree } from "../adapters/local/folder-tree.ts";
import { makePullFolder, makeTarget } from "../adapters/local/pull-folder.ts";
import { SpoolFolder } from "../adapters/local/spool-folder.ts";
import { misuse } from "../mirror/errors.ts";
import { pullTree } from "../mirror/pull.ts";
import type { CliEnvironment } from "./environment.ts";
import { jsonLine } from "./json-line.ts";
import { openMirror } from "./open-mirror.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** `modferry pull`: copies the mirror's tree to a folder that a file server or `file://` serves, only what differs. */
export async function pull(options: Options, environment: CliEnvironment, output: Output): Promise<number> {
  if (options.to === undefined)
    throw misuse("--to", "--to: not given; name the folder that is to be the mirror's tree: --to DIR");
  const mirror = await openMirror(options, environment, { mode: "read" });
  try {
    const root = mirror.deployed ? await makeTarget(options.to) : await madeRoot(options.to, options.mirror);
    const temporary = await makePullFolder(root);
    try {
      const spools = new SpoolFolder(temporary);
      const began = performance.now();
      const pulled = await pullTree(mirror.tree, new FolderTree(root, new TemporaryFolder(temporary)), {
        ...options.pull,
        spool: (chunks, limit, subject) => spools.spool(chunks, limit, subject),
      });
      const seconds = (performance.now() - began) / 1000;
      if (options.json) output.print(jsonLine({ event: "pulled", ...pulled, seconds }));
      else output.error(lineOf(pulled, seconds));
      return 0;
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  } finally {
    await mirror.close();
  }
}

function lineOf(pulled: Awaited<ReturnType<typeof pullTree>>, seconds: number): string {
  const { copied, replaced, removed, same, bytes } = pulled;
  const size = `${(bytes / 1e6).toFixed(1)} MB in ${seconds.toFixed(1)} s`;
  return `modferry: ${copied} files copied, ${replaced} replaced, ${removed} removed, ${same} as they were; ${size}`;
}

/** @throws MirrorError misuse where it cannot be made, or is within the mirror, whose only writer is `sync`. */
async function madeRoot(to: string, mirror: string): Promise<string> {
  const own = await realpath(mirror);
  if (`${await realpathOfExisting(resolve(to))}${sep}`.startsWith(own + sep))
    throw misuse("--to", `--to ${to}: lies in the mirror itself; name a folder elsewhere`);
  return await makeTarget(to);
}

/** Of the folder, or of that above it under which it will be made. */
async function realpathOfExisting(path: string): Promise<string> {
  return await realpath(path).catch((thrown: unknown) => {
    if (codeOf(thrown) === "ENOTDIR")
      throw misuse("--to", `--to ${path}: lies below a file; name a folder`, thrown);
    if (codeOf(thrown) !== "ENOENT" || dirname(path) === path) throw fileError(thrown, path);
    return realpathOfExisting(dirname(path));
  });
}
