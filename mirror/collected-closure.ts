import type { Closure } from "../gomod/closure.ts";
import type { LoadFailure } from "../gomod/requirements.ts";
import {
  compareModuleVersions,
  formatModuleVersion,
  type ModuleVersion,
  moduleVersion,
} from "../gomod/version.ts";
import type { ClosureFile, Need, RootClosure, Unresolved } from "./closure-file.ts";
import { asMirrorError, type ErrorClass, MirrorError, misuse } from "./errors.ts";
import { covers, type Extent } from "./records.ts";

/** What another try will not mend, short of upstream's having or allowing it. */
const FOR_GOOD: ReadonlySet<ErrorClass> = new Set(["absent", "withheld", "mismatch", "denied"]);

/** A request's closure while it is put together. */
export class Collected {
  readonly #unresolved: Unresolved[] = [];
  readonly #needs = new Map<string, Need>();
  readonly #roots = new Map<string, RootClosure>();
  /** What was needed before anything was looked at together. */
  #separate: ReadonlyMap<string, Need> | undefined;

  fail(subject: string, error: Pick<MirrorError, "class" | "message">): void {
    this.#unresolved.push({ subject, class: error.class, message: error.message });
  }

  /** @param isBeyond whether only what upgrades or a full graph lead to needs it. */
  need({ path, version }: ModuleVersion, extent: Extent, isBeyond = false): void {
    const name = formatModuleVersion({ path, version });
    const known = this.#needs.get(name);
    const ownBefore = known === undefined ? "nothing" : (known.own ?? known.extent);
    const all = known?.extent === "whole" ? "whole" : extent;
    const own = isBeyond || covers(ownBefore, extent) ? ownBefore : extent;
    const need = { version: { path, version }, extent: all };
    this.#needs.set(name, own === all || own === "whole" ? need : { ...need, own });
  }

  /** A go.mod that could not be loaded is needed all the same: its record says why it is missing. */
  add(closure: Closure, isBeyond = false): void {
    for (const { version, files } of closure.files) this.need(version, files, isBeyond);
    for (const { path, version, error } of closure.failures) this.#needFailed(path, version, error, isBeyond);
  }

  /**
   * Adds what is beyond a request's own graphs: a full graph, or what upgrades lead to. What of it cannot be had for good
   * is left out, and so never keeps the request from being DONE: nothing that the request itself names reads it, and a
   * client that gets so far would fail at upstream, too. The rest comes with the next try.
   */
  addBeyond(closure: Closure): void {
    const gone = new Set(closure.failures.filter(isForGood).map(({ path, version }) => `${path}@${version}`));
    const files = closure.files.filter(({ version }) => !gone.has(formatModuleVersion(version)));
    this.add(
      { ...closure, files, failures: closure.failures.filter((failure) => !isForGood(failure)) },
      true,
    );
  }

  /** Adds a version that the lists are to offer, unless something that it needs cannot be had for good. */
  addOffered(root: ModuleVersion, closure: Closure): void {
    if (closure.failures.some(isForGood)) return;
    this.add(closure, true);
    this.addRoot(root, closure);
  }

  hasRoot(root: ModuleVersion): boolean {
    return this.#roots.has(formatModuleVersion(root));
  }

  /** What is needed from now on is needed only because the wishes are used together. */
  endSeparate(): void {
    this.#separate = new Map(this.#needs);
  }

  /** What the wishes need together beyond what each needs by itself. */
  together(): Need[] {
    const separate = this.#separate;
    if (separate === undefined) return [];
    return [...this.#needs].flatMap(([name, need]) =>
      separate.get(name)?.extent === need.extent ? [] : [need],
    );
  }

  #needFailed(path: string, version: string, thrown: unknown, isBeyond: boolean): void {
    const subject = `${path}@${version}`;
    try {
      this.need(moduleVersion(path, version), "mod", isBeyond);
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

/** A go.mod that is another module's, or a name that is nobody's, is as good as absent. */
function isForGood({ error }: LoadFailure): boolean {
  return !(error instanceof MirrorError) || FOR_GOOD.has(error.class);
}
