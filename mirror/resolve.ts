import pLimit from "p-limit";
import { type Closure, closeBuild, closeRoot, closeRoots } from "../gomod/closure.ts";
import { closeTogether } from "../gomod/combination.ts";
import { FormatError } from "../gomod/format-error.ts";
import type { BuildRequest } from "../gomod/module-graph.ts";
import { formatModuleVersion, type ModuleVersion, moduleVersion } from "../gomod/version.ts";
import { type ClosureFile, type Need, readClosure, writeClosure } from "./closure-file.ts";
import { Collected } from "./collected-closure.ts";
import { dispatch } from "./dispatch.ts";
import { asMirrorError, MirrorError, misuse } from "./errors.ts";
import { GoModLoader, OutOfTime } from "./go-mod-loader.ts";
import { readRequestBody } from "./inbox.ts";
import { joinedClosure } from "./joined-closure.ts";
import { KeptLists } from "./kept-lists.ts";
import type { RequestKey } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import { handedInAt, type RequestBody } from "./requests.ts";
import { addAlone } from "./resolve-alone.ts";
import { addBeyond, startsOf } from "./resolve-beyond.ts";
import { resolveLatest } from "./resolve-latest.ts";
import { UpstreamLists } from "./version-lists.ts";
import { parseWishes, type Wishes } from "./wishes.ts";

/** A request's closure, and which part of it is there for the sake of its wishes' use together. */
export interface ResolvedClosure extends ClosureFile {
  readonly together: readonly Need[];
}

/** Graphs loaded at a time: each may hold some thousands of nodes. */
const GRAPHS_AT_ONCE = 16;

/**
 * Resolves a request: loads its module graphs, fetching and proving each go.mod on the way, writes its closure into
 * the vault and sends the orders for what is not held. Running it again starts from the go.mod files held by then, and
 * from the lists that an earlier try had no time to make use of.
 * @param tries that had no time for all of it.
 * @throws MirrorError misuse when the request does not parse; OutOfTime.
 */
export async function resolveRequest(
  parts: MirrorParts,
  request: RequestKey,
  deadline: Deadline,
  tries = 0,
): Promise<void> {
  parts.report({ event: "resolving", request });
  const body = await readRequestBody(parts, request);
  const lists = new KeptLists(parts, deadline);
  if (tries > 0) await lists.load(parts.vault, request);
  let closure: ResolvedClosure;
  try {
    closure = await closeRequest(parts, body, request.name, deadline, handedInAt(request), lists);
  } catch (thrown) {
    if (thrown instanceof OutOfTime) await lists.save(parts.vault, request);
    throw thrown;
  }
  const isWhole = closure.unloaded.length === 0 && closure.unresolved.length === 0;
  const earlier = isWhole ? undefined : await earlierClosure(parts, request);
  const known = earlier === undefined ? closure : joinedClosure(closure, earlier);
  // A crash after this leaves the request OPEN: it is resolved again when it is due.
  await writeClosure(parts.vault, request, known);
  await dispatch(parts, request, known);
}

/** Undefined where it was never resolved, or its closure is damaged. */
async function earlierClosure(parts: MirrorParts, request: RequestKey): Promise<ClosureFile | undefined> {
  try {
    return await readClosure(parts.vault, request);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}

/**
 * All files that a request needs, and which versions may be listed when they are held.
 * @param since when it was handed in: what has failed since then is not asked again before its own wait is over.
 * @throws MirrorError misuse when the request does not parse; OutOfTime. What cannot be had never stops the rest.
 */
export async function closeRequest(
  parts: MirrorParts,
  body: RequestBody,
  wish: string,
  deadline: Deadline,
  since?: number,
  upstreamLists = new KeptLists(parts, deadline),
): Promise<ResolvedClosure> {
  const wishes = parseWishes(body);
  const loader = new GoModLoader(parts, { wish, deadline, ...(since === undefined ? {} : { since }) });
  const collected = new Collected();
  const limit = pLimit(GRAPHS_AT_ONCE);
  const latest = await latestRoots(upstreamLists, wishes, collected, loader);
  const roots = uniqueVersions([...wishes.roots, ...latest]);

  const add = async (subject: string, close: () => Promise<Closure>, root?: ModuleVersion) => {
    // None is begun once there is no time left.
    if (loader.outOfTime !== undefined) return;
    try {
      const closure = await close();
      collected.add(closure);
      if (root !== undefined) collected.addRoot(root, closure);
    } catch (thrown) {
      // A graph too large to be one; what else is thrown is none of the request's making.
      if (!(thrown instanceof FormatError)) throw thrown;
      collected.fail(subject, asMirrorError(thrown, subject));
    }
  };
  const builds = wishes.builds.map((build) => withRecording(build, wishes));
  await Promise.all([
    ...builds.map((build) =>
      limit(() => add(nameOf(build), () => closeBuild(build, body.tier, loader.load))),
    ),
    ...uniqueVersions([...roots, ...wishes.recording.roots]).map((root) =>
      limit(() => add(formatModuleVersion(root), () => closeRoot(root, body.tier, loader.load), root)),
    ),
  ]);
  for (const version of wishes.exact) collected.need(version, "whole");
  for (const root of wishes.alone) addAlone(collected, root);
  for (const { version, extent } of wishes.recording.needs) collected.need(version, extent);
  for (const sum of wishes.sums) addSumLines(collected, sum.entries);
  collected.endSeparate();
  if (body.together && roots.length > 0) {
    await Promise.all([
      ...builds.map((build) =>
        limit(() => add(`${nameOf(build)} and the wishes`, () => closeTogether(build, roots, loader.load))),
      ),
      ...(roots.length > 1
        ? [limit(() => add("all wishes together", () => closeRoots(roots, body.tier, loader.load)))]
        : []),
    ]);
  }
  const together = collected.together();
  const lists = new UpstreamLists(upstreamLists, deadline, parts.report);
  await addBeyond(collected, startsOf(builds, roots, body.together), body, loader, lists);
  await addDirectRequirements(collected, wishes, body, loader);
  // gomod/ takes a file that was left out for want of time for a missing one: this closure is not the whole one.
  const outOfTime = loader.outOfTime ?? lists.outOfTime ?? upstreamLists.outOfTime;
  if (outOfTime !== undefined) throw outOfTime;
  for (const [name, error] of loader.lost) collected.fail(name, error);
  return { ...collected.file(loader.unavailable), together };
}

function nameOf(build: BuildRequest): string {
  return build.mains[0]?.name ?? "go.work";
}

/** At tier build a recording names the zips that are opened, as a go.sum does; one without any names none. */
function withRecording(build: BuildRequest, { recording }: Wishes): BuildRequest {
  return recording.zips.size === 0 ? build : { ...build, openedZips: recording.zips };
}

function uniqueVersions(versions: readonly ModuleVersion[]): ModuleVersion[] {
  return [...new Map(versions.map((version) => [formatModuleVersion(version), version])).values()];
}

async function latestRoots(
  lists: KeptLists,
  wishes: Wishes,
  collected: Collected,
  loader: GoModLoader,
): Promise<ModuleVersion[]> {
  const limit = pLimit(GRAPHS_AT_ONCE);
  const found = await limit.map(wishes.latest, async (path) => {
    try {
      return await resolveLatest(lists, path, loader.load);
    } catch (thrown) {
      const subject = `${path}@latest`;
      collected.fail(subject, asMirrorError(thrown, subject));
      return undefined;
    }
  });
  return found.filter((root) => root !== undefined);
}

function addSumLines(collected: Collected, entries: Wishes["sums"][number]["entries"]): void {
  for (const entry of entries) {
    try {
      collected.need(moduleVersion(entry.path, entry.version), entry.kind === "zip" ? "whole" : "mod");
    } catch (thrown) {
      const subject = `${entry.path}@${entry.version}`;
      collected.fail(subject, misuse(subject, asMirrorError(thrown, subject).message));
    }
  }
}

/**
 * What a main module requires directly is listed too where the request's own files happen to close it, judged by the
 * go.mod files that are loaded already: nothing more is fetched for it.
 */
async function addDirectRequirements(
  collected: Collected,
  wishes: Wishes,
  body: RequestBody,
  loader: GoModLoader,
): Promise<void> {
  const loadedOnly = async (version: ModuleVersion) => {
    const goMod = loader.loaded(version);
    if (goMod === undefined) throw new MirrorError("absent", formatModuleVersion(version), "not loaded");
    return goMod;
  };
  for (const build of wishes.builds) {
    for (const main of build.mains) {
      for (const requirement of main.goMod.require) {
        if (requirement.indirect) continue;
        const root = collected.heldWhole(requirement.path, requirement.version);
        if (root === undefined) continue;
        await addRootIfClosed(collected, () => closeRoot(root, body.tier, loadedOnly), root);
      }
    }
  }
}

async function addRootIfClosed(
  collected: Collected,
  close: () => Promise<Closure>,
  root: ModuleVersion,
): Promise<void> {
  try {
    const closure = await close();
    if (collected.covers(closure)) collected.addRoot(root, closure);
  } catch (thrown) {
    // Too large a graph of its own: it is served by exact name.
    if (!(thrown instanceof FormatError)) throw thrown;
  }
}
