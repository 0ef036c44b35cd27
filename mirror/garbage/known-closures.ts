import { closeRoot } from "../../gomod/closure.ts";
import { FormatError } from "../../gomod/format-error.ts";
import { parseGoMod } from "../../gomod/go-mod.ts";
import { formatModuleVersion, type ModuleVersion } from "../../gomod/version.ts";
import { type ClosureFile, type Need, readClosure } from "../closure-file.ts";
import { MirrorError } from "../errors.ts";
import type { RequestKey } from "../orders.ts";
import type { MirrorParts } from "../parts.ts";
import { LARGEST_GO_MOD } from "../store-files.ts";
import { modKey } from "../tree-keys.ts";

type Parts = Pick<MirrorParts, "tree" | "vault">;

/**
 * The closures of roots, as far as the vault's closure files know them: which file has which root is remembered, the files
 * themselves are read again when they are asked for, one at a time.
 */
export class KnownClosures {
  readonly #parts: Parts;
  readonly #files: RequestKey[] = [];
  readonly #filesOf = new Map<string, number[]>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Reads a request's closure; undefined where it is missing or damaged. */
  async add(request: RequestKey): Promise<ClosureFile | undefined> {
    const closure = await this.#read(request);
    if (closure === undefined || closure.roots.length === 0) return closure;
    const number = this.#files.push(request) - 1;
    for (const { root } of closure.roots) {
      const name = formatModuleVersion(root);
      const known = this.#filesOf.get(name);
      if (known === undefined) this.#filesOf.set(name, [number]);
      else known.push(number);
    }
    return closure;
  }

  has(root: ModuleVersion): boolean {
    return this.#filesOf.has(formatModuleVersion(root));
  }

  /** Whether another request than this one has the root, too, among those that `counts` takes. */
  isElsewhere(root: ModuleVersion, counts: (request: RequestKey) => boolean): boolean {
    const files = this.#filesOf.get(formatModuleVersion(root)) ?? [];
    return files.some((number) => counts(this.#files[number] as RequestKey));
  }

  /** All that these roots need by any request that has them; of a root that none has, by the go.mods of the tree. */
  async *needsOf(roots: readonly ModuleVersion[]): AsyncGenerator<Need> {
    const wanted = new Set(roots.map(formatModuleVersion));
    const found = new Set<string>();
    const numbers = new Set(roots.flatMap((root) => this.#filesOf.get(formatModuleVersion(root)) ?? []));
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const closure = await this.#read(this.#files[number] as RequestKey);
      for (const { root, needs } of closure?.roots ?? []) {
        const name = formatModuleVersion(root);
        if (!wanted.has(name)) continue;
        found.add(name);
        yield* needs;
      }
    }
    for (const root of roots)
      if (!found.has(formatModuleVersion(root))) yield* await closureFromTree(this.#parts.tree, root);
  }

  /** Every root whose own closure needs something of this, by any request. */
  async rootsThatNeed(lacks: (need: Need) => boolean): Promise<Map<string, Dependent>> {
    const found = new Map<string, Dependent>();
    for (const request of this.#files) {
      const closure = await this.#read(request);
      for (const { root, needs } of closure?.roots ?? []) {
        const lacking = needs.filter(lacks);
        if (lacking.length === 0) continue;
        const name = formatModuleVersion(root);
        const known = found.get(name) ?? { root, needs: new Set<string>() };
        for (const need of lacking) known.needs.add(formatModuleVersion(need.version));
        found.set(name, known);
      }
    }
    return found;
  }

  async #read(request: RequestKey): Promise<ClosureFile | undefined> {
    try {
      return await readClosure(this.#parts.vault, request);
    } catch (thrown) {
      if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
      throw thrown;
    }
  }
}

/** A root, and what it needs of what was asked about. */
export interface Dependent {
  readonly root: ModuleVersion;
  readonly needs: Set<string>;
}

/**
 * What a root needs by the go.mods that the tree holds: for one whose request's closure is lost. What of it is not held
 * cannot be kept.
 */
export async function closureFromTree(tree: Parts["tree"], root: ModuleVersion): Promise<Need[]> {
  const load = async (version: ModuleVersion) => {
    const name = formatModuleVersion(version);
    const stored = await tree.get(modKey(version), LARGEST_GO_MOD);
    if (stored === undefined) throw new MirrorError("absent", name, `${name}: its go.mod is not held`);
    return parseGoMod(`${name}.mod`, stored.bytes, "lax");
  };
  const itself: Need = { version: root, extent: "whole" };
  try {
    const { files } = await closeRoot(root, "tidy", load);
    return [itself, ...files.map(({ version, files: extent }) => ({ version, extent }))];
  } catch (thrown) {
    if (thrown instanceof FormatError) return [itself];
    throw thrown;
  }
}
