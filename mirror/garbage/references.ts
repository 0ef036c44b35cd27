import { FormatError } from "../../gomod/format-error.ts";
import { type ModulePath, modulePath } from "../../gomod/module-path.ts";
import { formatModuleVersion, type ModuleVersion, type Version } from "../../gomod/version.ts";
import { latestOf } from "../../gomod/version-query.ts";
import type { Need } from "../closure-file.ts";
import { MirrorError } from "../errors.ts";
import { readRequestBody } from "../inbox.ts";
import type { MirrorParts } from "../parts.ts";
import type { VersionRecord } from "../records.ts";
import { handedInAt, type RequestRecord } from "../requests.ts";
import type { Subscriptions } from "../subscription.ts";
import { type CurrentRequests, currentRequests } from "./current-requests.ts";
import { readDrops } from "./drops.ts";
import { KnownClosures } from "./known-closures.ts";
import { type Listed, Marks } from "./marks.ts";
import { isSubscribed, type Known, selectedVersions } from "./selected.ts";
import type { GarbageSettings } from "./settings.ts";

export interface ReferenceParts extends Pick<MirrorParts, "tree" | "vault" | "ledger" | "now"> {
  /** Whether a checksum database covers a module. */
  readonly provable: (path: ModulePath) => boolean;
}

/** What a snapshot keeps, whoever reads it. */
export interface KeptEntry {
  readonly path: ModulePath;
  readonly version: Version;
  readonly held: "mod" | "whole";
  readonly listed: boolean;
}

export interface ReferenceOptions {
  readonly settings: GarbageSettings;
  readonly subscriptions: Subscriptions;
  /** The entries of every snapshot that counts. */
  readonly kept: () => AsyncIterable<KeptEntry>;
}

/** What was found to be needed when it was asked, and by what. */
export interface References {
  /** Before anything was read, by our clock: what has changed since is not in it. */
  readonly at: number;
  readonly marks: Marks;
  readonly closures: KnownClosures;
  readonly listed: Listed;
  readonly requests: CurrentRequests;
  /** Feeds' requests that are not done, and of which no subscription speaks any more. */
  readonly unwanted: readonly RequestRecord[];
  /** All that is held: for the share that one run may take. */
  readonly held: { readonly versions: number; readonly bytes: number };
}

/**
 * All that something refers to at this moment: the closures of current requests; of the roots that a subscription selects,
 * and of what snapshots and internal modules keep. Then, of all that is kept whole: the closure of each version that a list
 * names, and the module's highest listed version, which carries its retractions, with its closure. So the marked
 * versions are closed: no list that is left names anything whose closure is not left.
 * @throws MirrorError malformed where a current request's closure cannot be read: nothing may be collected then.
 */
export async function readReferences(parts: ReferenceParts, options: ReferenceOptions): Promise<References> {
  const at = parts.now();
  const marks = new Marks();
  const closures = new KnownClosures(parts);
  const requests = await readRequests(parts, options.settings, at);
  for (const request of requests.current) markAll(marks, await closureOfCurrent(closures, request));
  for (const request of requests.over) await closures.add(request);
  const unwanted = await markFeeds(parts, options, marks, closures, requests);
  for await (const { path, version, held, listed } of options.kept()) {
    const name = formatModuleVersion({ path, version });
    marks.mark(name, held);
    if (listed) marks.markClosed(name);
  }
  const { listed, subscribed, held } = await readLedger(parts, options, marks);
  const selected: ModuleVersion[] = [];
  for (const [path, known] of subscribed)
    for (const version of await selectedVersions(parts, options.subscriptions, path, known))
      selected.push({ path, version });
  // Also what is not held yet: its closure may be half here.
  for (const version of selected) marks.mark(formatModuleVersion(version), "whole");
  await markNeeds(marks, closures, selected);
  await close(marks, closures, listed);
  return { at, marks, closures, listed, requests, unwanted, held };
}

async function readRequests(
  parts: ReferenceParts,
  settings: GarbageSettings,
  at: number,
): Promise<CurrentRequests> {
  const drops = await readDrops(parts.ledger);
  const isWhole = async (request: RequestRecord) => {
    const closure = await new KnownClosures(parts).add(request);
    return closure !== undefined && closure.unloaded.length === 0;
  };
  return await currentRequests(parts.ledger.requests(), drops, at, settings.requests, isWhole);
}

async function closureOfCurrent(closures: KnownClosures, request: RequestRecord): Promise<readonly Need[]> {
  const closure = await closures.add(request);
  if (closure !== undefined) return closure.needs;
  // Not resolved yet: what it needs is wanted then, and so is taken back.
  if (request.state === "OPEN") return [];
  const subject = `request ${request.name}/${request.time}`;
  throw new MirrorError(
    "malformed",
    subject,
    `${subject}: its closure is lost, so nobody knows what it needs, and nothing is collected; hand it in again, or drop it with \`modferry gc --drop ${request.name}\``,
  );
}

/**
 * A feed's request that is not done needs all of its closure, as long as a subscription speaks of it; of one that is done,
 * the roots count that are selected. @returns those that nobody wants to be done any more.
 */
async function markFeeds(
  parts: ReferenceParts,
  options: ReferenceOptions,
  marks: Marks,
  closures: KnownClosures,
  { ofFeeds }: CurrentRequests,
): Promise<RequestRecord[]> {
  const unwanted: RequestRecord[] = [];
  for (const request of ofFeeds) {
    const closure = await closures.add(request);
    if (request.state === "DONE") continue;
    const isWanted = request.state !== "INCOMPLETE" || (await isStillWanted(parts, options, request));
    if (isWanted) markAll(marks, closure?.needs ?? []);
    else unwanted.push(request);
  }
  return unwanted;
}

async function isStillWanted(
  parts: ReferenceParts,
  { settings, subscriptions }: ReferenceOptions,
  request: RequestRecord,
): Promise<boolean> {
  if (handedInAt(request) + settings.requests < parts.now()) return false;
  try {
    const { wishes, alone = [] } = await readRequestBody(parts, request);
    const paths = [...wishes, ...alone].map((wish) => modulePath(wish.slice(0, wish.lastIndexOf("@"))));
    return paths.some((path) => isSubscribed(subscriptions, path));
  } catch (thrown) {
    if (thrown instanceof FormatError || (thrown instanceof MirrorError && thrown.class === "misuse"))
      return false;
    throw thrown;
  }
}

function markAll(marks: Marks, needs: readonly Need[]): void {
  for (const { version, extent } of needs) marks.mark(formatModuleVersion(version), extent);
}

async function markNeeds(
  marks: Marks,
  closures: KnownClosures,
  roots: readonly ModuleVersion[],
): Promise<void> {
  for await (const { version, extent } of closures.needsOf(roots))
    marks.mark(formatModuleVersion(version), extent);
}

/** One pass over all records: what lists name, what subscriptions speak of, and what is kept for itself. */
async function readLedger(
  parts: ReferenceParts,
  { settings, subscriptions }: ReferenceOptions,
  marks: Marks,
): Promise<{
  readonly listed: Map<ModulePath, ModuleVersion[]>;
  readonly subscribed: Map<ModulePath, Known[]>;
  readonly held: References["held"];
}> {
  const listed = new Map<ModulePath, ModuleVersion[]>();
  const subscribed = new Map<ModulePath, Known[]>();
  const held = { versions: 0, bytes: 0 };
  for await (const record of parts.ledger.records()) {
    const { path, version, state } = record;
    if (record.held !== "nothing") {
      held.versions++;
      held.bytes += bytesOf(record);
    }
    if (record.listed) push(listed, path, { path, version });
    if (record.wanted === "whole" && state !== "REMOVED" && isSubscribed(subscriptions, path))
      push(subscribed, path, { version, state, held: record.held });
    const keeps = record.held;
    if (settings.internal === "keep" && keeps !== "nothing" && isInternal(parts, record))
      marks.mark(formatModuleVersion(record), keeps);
  }
  return { listed, subscribed, held };
}

/** No checksum database covers it or has proven it: what has it can be compared with nothing but what is here. */
function isInternal({ provable }: Pick<ReferenceParts, "provable">, record: VersionRecord): boolean {
  return record.sumdbRecords === undefined && !provable(record.path);
}

/** The bytes of a version's files that are held. */
export function bytesOf({ held, modSize = 0, zipSize = 0 }: VersionRecord): number {
  return held === "nothing" ? 0 : held === "mod" ? modSize : modSize + zipSize;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}

/**
 * Until nothing more is marked: what is kept whole and listed keeps its closure; then each module of which anything is
 * kept whole keeps its highest version, where that is listed.
 */
async function close(marks: Marks, closures: KnownClosures, listed: Listed): Promise<void> {
  const whole = new Map<ModulePath, Version[]>();
  for (let fresh = marks.takeFresh(); fresh.length > 0; fresh = marks.takeFresh()) {
    const touched = new Set<ModulePath>();
    for (; fresh.length > 0; fresh = marks.takeFresh()) {
      for (const { path, version } of fresh) {
        push(whole, path, version);
        touched.add(path);
      }
      await markNeeds(
        marks,
        closures,
        fresh.filter((version) => isListed(listed, version) && !marks.isClosed(formatModuleVersion(version))),
      );
    }
    for (const path of touched)
      for (const version of await highestOf(path, whole.get(path) ?? [], listed))
        marks.mark(formatModuleVersion({ path, version }), "whole");
  }
}

function isListed(listed: Listed, { path, version }: ModuleVersion): boolean {
  return listed.get(path)?.some((other) => other.version === version) === true;
}

/**
 * Whose retractions go reads (modload, queryLatestVersionIgnoringRetractions), of what is kept and what lists name; both
 * where it hangs on a go.mod whether `+incompatible` ones count.
 */
async function highestOf(
  path: ModulePath,
  kept: readonly Version[],
  listed: Listed,
): Promise<readonly Version[]> {
  const all = [...kept, ...(listed.get(path) ?? []).map(({ version }) => version)];
  const found = [await latestOf(all, async () => true), await latestOf(all, async () => false)];
  return found.filter((version) => version !== undefined);
}
