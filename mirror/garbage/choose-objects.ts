import type { ModuleVersion } from "../../gomod/version.ts";
import { blockOf, readAllBlocks } from "../blocks.ts";
import { readClosure } from "../closure-file.ts";
import { MirrorError } from "../errors.ts";
import { parseKeptListsKey } from "../kept-lists.ts";
import type { RequestKey } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import { parseClosureKey, parseRequestInboxKey } from "../requests.ts";
import { parseTreeKey } from "../tree-keys.ts";
import { MOST_LISTED, type SurplusObject } from "./garbage-list.ts";
import type { References } from "./references.ts";

type ObjectParts = Pick<MirrorParts, "vault" | "ledger">;

/**
 * Objects of the vault that nothing needs any more: of requests that are over, as soon as none of their roots is left whose
 * closure only they know; what a block took out and gave back; what `more` names.
 */
export async function chooseObjects(
  parts: ObjectParts,
  references: References,
  more: AsyncIterable<SurplusObject>,
): Promise<SurplusObject[]> {
  const found: SurplusObject[] = [];
  for (const source of [ofRequests(parts, references), ofQuarantine(parts), more])
    for await (const object of source) if (found.length < MOST_LISTED) found.push(object);
  return found;
}

async function* ofRequests(parts: ObjectParts, references: References): AsyncGenerator<SurplusObject> {
  const known = new Map<string, Promise<boolean>>();
  const over = overRequests(references);
  const isSurplus = (request: RequestKey): Promise<boolean> => {
    const name = nameOf(request);
    const asked =
      known.get(name) ?? (over.has(name) ? isForgotten(parts, references, request) : Promise.resolve(false));
    known.set(name, asked);
    return asked;
  };
  const why = "its request is over";
  const done = doneRequests(references);
  for await (const key of parts.vault.keys("requests/")) {
    const request = parseClosureKey(key) ?? parseKeptListsKey(key);
    if (request === undefined) continue;
    // Upstreams' lists are for the next try of a resolution alone, and no list of the mirror rests upon them.
    if (parseKeptListsKey(key) !== undefined && done.has(nameOf(request)))
      yield { object: key, why: "its request is done" };
    else if (await isSurplus(request)) yield { object: key, why };
  }
  for await (const key of parts.vault.keys("inbox/requests/")) {
    const request = parseRequestInboxKey(key);
    if (request !== undefined && (await isSurplus(request))) yield { object: key, why };
  }
}

/** Those that are not resolved again. */
function doneRequests({ requests }: References): Set<string> {
  const all = [...requests.current, ...requests.ofFeeds, ...requests.over];
  return new Set(all.filter(({ state }) => state === "DONE" || state === "ENDED").map(nameOf));
}

/** Those that keep nothing: replaced, expired, dropped; a feed's that are done, for their roots are kept by themselves. */
function overRequests({ requests }: References): Set<string> {
  const done = requests.ofFeeds.filter(({ state }) => state === "DONE");
  return new Set([...requests.over, ...done].map(nameOf));
}

/** Whether nobody asks this request's closure for what one of its roots needs. */
async function isForgotten(
  parts: ObjectParts,
  { requests, closures }: References,
  request: RequestKey,
): Promise<boolean> {
  const kept = new Set([...requests.current, ...requests.ofFeeds].map(nameOf));
  const isKept = (other: RequestKey) => kept.has(nameOf(other)) && nameOf(other) !== nameOf(request);
  const roots = await rootsOf(parts, request);
  const records = await parts.ledger.read(roots);
  return roots.every((root, at) => {
    const record = records[at];
    // What no list names needs no closure of its own any more.
    const isAlive = record?.listed === true || record?.state === "REMOVING";
    return !isAlive || closures.isElsewhere(root, isKept);
  });
}

/** The roots of a request's closure; none where that is missing or damaged. */
export async function rootsOf(
  { vault }: Pick<ObjectParts, "vault">,
  request: RequestKey,
): Promise<ModuleVersion[]> {
  try {
    return (await readClosure(vault, request)).roots.map(({ root }) => root);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return [];
    throw thrown;
  }
}

const QUARANTINE = "quarantine/";

/** What was given back, or collected; what a block still names stays, and so does what one has just let go. */
async function* ofQuarantine(parts: ObjectParts): AsyncGenerator<SurplusObject> {
  const blocks = await readAllBlocks(parts.ledger);
  for await (const key of parts.vault.keys(QUARANTINE)) {
    const entry = parseTreeKey(key.slice(QUARANTINE.length).replace(/\.zip\.json$/, ".zip"));
    if (entry?.kind !== "zip" || blockOf(blocks, entry.version) !== undefined) continue;
    const [record] = await parts.ledger.read([entry.version]);
    if (record?.state === "BLOCKED" || (record?.state === "PENDING" && record.held !== "whole")) continue;
    yield { object: key, why: "it was given back" };
  }
}

export function nameOf({ name, time }: RequestKey): string {
  return `${name}/${time}`;
}
