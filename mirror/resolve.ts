import { type Closure, closeBuild, closeRoot, closeRoots } from "../gomod/closure.ts";
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
import { asMirrorError, MirrorError } from "./errors.ts";
import { GoModLoader } from "./go-mod-loader.ts";
import { readRequestBody } from "./inbox.ts";
import type { RequestKey } from "./orders.ts";
import type { Deadline, MirrorParts } from "./parts.ts";
import type { Extent } from "./records.ts";
import type { RequestBody } from "./requests.ts";
import { parseWishes, resolveLatest, type Wishes } from "./wishes.ts";

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
  const closure = await closeRequest(parts, body, request.name, deadline);
  await writeClosure(parts.vault, request, closure);
  await dispatch(parts, request, closure);
}

/**
 * All files that a request needs, and which versions may be listed when they are held.
 * @throws MirrorError misuse when the request does not parse; OutOfTime. What cannot be had never stops the rest.
 */
export async function closeRequest(
  parts: MirrorParts,
  body: RequestBody,
  wish: string,
  deadline: Deadline,
): Promise<ClosureFile> {
  const wishes = parseWishes(body);
  const loader = new GoModLoader(parts, wish, deadline);
  const collected = new Collected();
  const roots = [...wishes.roots, ...(await latestRoots(parts, wishes, collected))];

  const builds = wishes.builds.map((build) => closeBuild(build, body.tier, loader.load));
  const alone = roots.map((root) => closeRoot(root, body.tier, loader.load));
  const together = body.together && roots.length > 1 ? [closeRoots(roots, body.tier, loader.load)] : [];
  for (const closure of await Promise.all([...builds, ...together])) collected.add(closure);
  (await Promise.all(alone)).forEach((closure, at) => {
    collected.add(closure);
    collected.addRoot(roots[at] as ModuleVersion, closure);
  });
  for (const version of wishes.exact) collected.need(version, "whole");
  for (const sum of wishes.sums) addSumLines(collected, sum.entries);
  await addDirectRequirements(collected, wishes, body, loader);
  return collected.file();
}

async function latestRoots(
  parts: MirrorParts,
  wishes: Wishes,
  collected: Collected,
): Promise<ModuleVersion[]> {
  const found = await Promise.all(
    wishes.latest.map(async (path) => {
      try {
        return await resolveLatest(parts.upstream, path);
      } catch (thrown) {
        const error = asMirrorError(thrown, `${path}@latest`);
        collected.unresolved.push({ subject: `${path}@latest`, class: error.class, message: error.message });
        return undefined;
      }
    }),
  );
  return found.filter((root) => root !== undefined);
}

function addSumLines(collected: Collected, entries: Wishes["sums"][number]["entries"]): void {
  for (const entry of entries) {
    try {
      collected.need(moduleVersion(entry.path, entry.version), entry.kind === "zip" ? "whole" : "mod");
    } catch (thrown) {
      const error = asMirrorError(thrown, `${entry.path}@${entry.version}`);
      collected.unresolved.push({ subject: error.subject, class: error.class, message: error.message });
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
        const closure = await closeRoot(root, body.tier, loadedOnly);
        if (collected.covers(closure)) collected.addRoot(root, closure);
      }
    }
  }
}

/** A request's closure while it is put together. */
class Collected {
  readonly unresolved: Unresolved[] = [];
  readonly #needs = new Map<string, Need>();
  readonly #roots = new Map<string, RootClosure>();

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
      const error = asMirrorError(thrown, subject);
      this.unresolved.push({ subject, class: error.class, message: error.message });
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

  file(): ClosureFile {
    const needs = [...this.#needs.values()].sort((a, b) => compareModuleVersions(a.version, b.version));
    return { needs, roots: [...this.#roots.values()], unresolved: this.unresolved };
  }
}
