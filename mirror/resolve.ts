import pLimit from "p-limit";
import { type Closure, closeBuild, closeRoot, closeRoots } from "../gomod/closure.ts";
import { FormatError } from "../gomod/format-error.ts";
import {
  compareModuleVersions,
  formatModuleVersion,
  type ModuleVersion,
  moduleVersion,
} from "../gomod/version.ts";
import {
  type ClosureFile,
  type Need,
  type RootClosure,
  type Unresolved,
  writeClosure,
} from "./closure-file.ts";
import { dispatch } from "./dispatch.ts";
import { asMirrorError, MirrorError, misuse } from "./errors.ts";
import { GoModLoader } from "./go-mod-loader.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import type { Extent } from "./records.ts";
import { handedInAt, type RequestBody } from "./requests.ts";
import { resolveLatest } from "./resolve-latest.ts";
import { parseWishes, type Wishes } from "./wishes.ts";

/** Graphs loaded at a time: each may hold some thousands of nodes. */
const GRAPHS_AT_ONCE = 16;

/**
 * Resolves a request: loads its module graphs, fetching and proving each go.mod on the way, writes its closure into
 * the vault and sends the orders for what is not held. Running it again starts from the go.mod files held by then.
 * @throws MirrorError misuse when the request does not parse; OutOfTime.
 */
export async function resolveRequest(
  parts: MirrorParts,
  request: RequestKey,
  deadline: Deadline,
): Promise<void> {
  parts.report({ event: "resolving", request });
  const body = await readRequestBody(parts, request);
  const closure = await closeRequest(parts, body, request.name, deadline, handedInAt(request));
  // A crash after this leaves the request OPEN: it is resolved again when it is due.
  await writeClosure(parts.vault, request, closure);
  await dispatch(parts, request, closure);
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
): Promise<ClosureFile> {
  const wishes = parseWishes(body);
  const loader = new GoModLoader(parts, { wish, deadline, ...(since === undefined ? {} : { since }) });
  const collected = new Collected();
  const limit = pLimit(GRAPHS_AT_ONCE);
  const latest = await latestRoots(parts, wishes, collected, loader);
  const roots = [
    ...new Map([...wishes.roots, ...latest].map((root) => [formatModuleVersion(root), root])).values(),
  ];

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
  await Promise.all([
    ...wishes.builds.map((build) =>
      limit(() => add(build.mains[0]?.name ?? "go.work", () => closeBuild(build, body.tier, loader.load))),
    ),
    ...(body.together && roots.length > 1
      ? [limit(() => add("all wishes together", () => closeRoots(roots, body.tier, loader.load)))]
      : []),
    ...roots.map((root) =>
      limit(() => add(formatModuleVersion(root), () => closeRoot(root, body.tier, loader.load), root)),
    ),
  ]);
  for (const version of wishes.exact) collected.need(version, "whole");
  for (const sum of wishes.sums) addSumLines(collected, sum.entries);
  await addDirectRequirements(collected, wishes, body, loader);
  // gomod/ takes a file that was left out for want of time for a missing one: this closure is not the whole one.
  if (loader.outOfTime !== undefined) throw loader.outOfTime;
  for (const [name, error] of loader.lost) collected.fail(name, error);
  return collected.file(loader.unavailable);
}

async function latestRoots(
  parts: MirrorParts,
  wishes: Wishes,
  collected: Collected,
  loader: GoModLoader,
): Promise<ModuleVersion[]> {
  const limit = pLimit(GRAPHS_AT_ONCE);
  const found = await limit.map(wishes.latest, async (path) => {
    try {
      return await resolveLatest(parts.upstream, path, loader.load);
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

/** A request's closure while it is put together. */
class Collected {
  readonly #unresolved: Unresolved[] = [];
  readonly #needs = new Map<string, Need>();
  readonly #roots = new Map<string, RootClosure>();

  fail(subject: string, error: MirrorError): void {
    this.#unresolved.push({ subject, class: error.class, message: error.message });
  }

  need(version: ModuleVersion, extent: Extent): void {
    const name = formatModuleVersion(version);
    if (this.#needs.get(name)?.extent === "whole") return;
    this.#needs.set(name, { version: { path: version.path, version: version.version }, extent });
  }

  /** A go.mod that could not be loaded is needed all the same: its record says why it is missing. */
  add(closure: Closure): void {
    for (const { version, files } of closure.files) this.need(version, files);
    for (const { path, version, error } of closure.failures) this.#needFailed(path, version, error);
  }

  #needFailed(path: string, version: string, thrown: unknown): void {
    const subject = `${path}@${version}`;
    try {
      this.need(moduleVersion(path, version), "mod");
    } catch {
      // Its name can be nobody's: only whoever requires it can help.
      this.fail(subject, misuse(subject, asMirrorError(thrown, subject).message));
    }
  }

  addRoot(root: ModuleVersion, closure: Closure): void {
    if (closure.failures.length > 0) return;
    const needs = closure.files.map(({ version, files }) => ({ version, extent: files }));
    this.#roots.set(formatModuleVersion(root), { root, needs });
  }

  heldWhole(path: string, version: string): ModuleVersion | undefined {
    const need = this.#needs.get(`${path}@${version}`);
    return need?.extent === "whole" ? need.version : undefined;
  }

  covers(closure: Closure): boolean {
    if (closure.failures.length > 0) return false;
    return closure.files.every(({ version, files }) => {
      const need = this.#needs.get(formatModuleVersion(version));
      return need?.extent === "whole" || need?.extent === files;
    });
  }

  file(unavailable: ReadonlyMap<string, ModuleVersion>): ClosureFile {
    const needs = [...this.#needs.values()].sort((a, b) => compareModuleVersions(a.version, b.version));
    const unloaded = needs
      .filter(({ version }) => unavailable.has(formatModuleVersion(version)))
      .map(({ version }) => version);
    return { needs, roots: [...this.#roots.values()], unresolved: this.#unresolved, unloaded };
  }
}
