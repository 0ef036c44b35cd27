import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { FolderMirror } from "../adapters/local/folder-mirror.ts";
import { MemoryLedger } from "../adapters/local/memory-ledger.ts";
import { MemoryQueue } from "../adapters/local/memory-queue.ts";
import { MemoryTree } from "../adapters/local/memory-tree.ts";
import { MemoryVault } from "../adapters/local/memory-vault.ts";
import { readWishes } from "../adapters/local/read-wishes.ts";
import { zipChecker } from "../adapters/local/zip-checker.ts";
import { openUpstream } from "../adapters/upstream/open-upstream.ts";
import { formatModuleVersion } from "../gomod/version.ts";
import { readClosure } from "../mirror/closure-file.ts";
import { misuse } from "../mirror/errors.ts";
import type { Missing } from "../mirror/missing.ts";
import { type RequestKey, requestName } from "../mirror/orders.ts";
import { noDeadline } from "../mirror/parts.ts";
import type { Vault } from "../mirror/ports.ts";
import type { OwnClosure } from "../mirror/rehearsal.ts";
import { parseRequestInboxKey, parseRequestKey, type RequestBody } from "../mirror/requests.ts";
import { closeRequest } from "../mirror/resolve.ts";
import type { Options } from "./options.ts";
import type { Output } from "./output.ts";

/** The closure that a rehearsal is held against. */
export interface RehearsedRequest extends OwnClosure {
  /** What of the closure itself could not be had, so that it is not the whole one. */
  readonly missing: readonly Missing[];
}

/**
 * What the arguments of `modferry rehearse` name: wishes, closed against the mirror alone, or a request that the mirror
 * has, with the closure that it was resolved to.
 * @throws MirrorError misuse when they are neither.
 */
export async function readRehearsed(
  options: Options,
  mirror: FolderMirror,
  output: Output,
): Promise<RehearsedRequest> {
  const [first, ...rest] = options.arguments;
  const key = first === undefined || rest.length > 0 ? undefined : await findRequest(mirror.vault, first);
  if (key !== undefined) {
    const { needs, roots, unresolved } = await readClosure(mirror.vault, key);
    return {
      needs,
      roots,
      missing: unresolved.map(({ subject, class: state, message }) => ({ subject, state, message })),
    };
  }
  return await closeWithin(options.mirror, await readWishes(options.arguments, options, output.stdin));
}

/**
 * The request of that `name/time`, or the last of that name.
 * @returns undefined where the text is a wish.
 */
async function findRequest(vault: Vault, text: string): Promise<RequestKey | undefined> {
  const { name, time } = parseRequestKey(text) ?? { name: text };
  if (!requestName.safeParse(name).success || /\.(?:mod|sum|work|json)$/.test(name)) return undefined;
  let last: RequestKey | undefined;
  for await (const key of vault.keys(`inbox/requests/${name}/`)) {
    const request = parseRequestInboxKey(key);
    if (request !== undefined && (time === undefined || request.time === time)) last = request;
  }
  if (last !== undefined) return last;
  throw misuse(
    text,
    `${text}: this mirror has no request of that name, and it is no wish either; give a go.mod, a FILE.json that ` +
      "`modferry record` wrote, module@version, or the name of a request such as sync",
  );
}

/** Closes wishes as a sync would, from nothing but the files that the mirror holds; nothing is written to it. */
async function closeWithin(address: string, body: RequestBody): Promise<RehearsedRequest> {
  const failed = new Map<string, Missing>();
  const upstream = openUpstream(pathToFileURL(join(resolve(address), "tree")).href);
  const parts = {
    tree: new MemoryTree(),
    vault: new MemoryVault(),
    ledger: new MemoryLedger(),
    queue: new MemoryQueue(),
    upstream,
    zips: zipChecker,
    // What the mirror holds is proven.
    databasesFor: () => [],
    now: Date.now,
    report: () => {},
  };
  const { needs, roots, unresolved, unloaded } = await closeRequest(parts, body, "rehearsal", noDeadline);
  for (const version of unloaded) {
    const subject = formatModuleVersion(version);
    const message = "this mirror has no go.mod of it, so what else the request needs is not known";
    failed.set(subject, { subject, state: "missing", message });
  }
  for (const { subject, class: state, message } of unresolved)
    failed.set(subject, { subject, state, message });
  return { needs, roots, missing: [...failed.values()] };
}
