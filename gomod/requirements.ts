import { FormatError } from "./format-error.ts";
import type { GoMod } from "./go-mod.ts";
import { goVersionAtLeast, goVersionOf, prunedSince } from "./go-version.ts";
import type { ReplacementTable } from "./main-modules.ts";
import { canonicalVersion, formatModuleVersion, type ModuleVersion, moduleVersion } from "./version.ts";

/** Gives a dependency's go.mod, parsed `lax`. @throws for a module that cannot be had; the graph goes on without it. */
export type LoadGoMod = (wanted: ModuleVersion) => Promise<GoMod>;

/** A `.mod` file that could not be used. */
export interface LoadFailure {
  /** The file that was asked: the replacement's where the module is replaced; as written where it cannot be asked. */
  readonly path: string;
  readonly version: string;
  readonly error: unknown;
}

/**
 * One module version in a graph; there is one object per `path@version`, so nodes are compared by identity.
 * A main module has the version "", which is above all others (modload.cmpVersion).
 */
export interface Node {
  readonly path: string;
  readonly version: string;
  /** The module whose files go fetches for this node; undefined for a main module, a directory, an unusable name. */
  readonly source: ModuleVersion | undefined;
  /** The directory that replaces the module, as written. */
  readonly directory: string | undefined;
  /** Whether a `replace` line names it; it may name the module itself. */
  readonly replaced: boolean;
  /** Why there is neither source nor directory: what is wrong with the name. */
  readonly problem: unknown;
  /** What the go.mod file requires, without excluded versions; undefined until it is loaded. */
  requires: readonly Node[] | undefined;
  /** Whether the go.mod file's `go` line is at least 1.17, so that its requirements' own need not be read. */
  pruned: boolean;
  /** Whether it marks any requirement `// indirect`, as `go mod tidy` does since go 1.17. */
  listsIndirect: boolean;
}

/**
 * The go.mod files of one build: each is loaded once, with the main modules' replacements and exclusions applied
 * (modload.goModSummary).
 */
export class Requirements {
  readonly failures: LoadFailure[] = [];
  /** Every module whose `.mod` was asked, by `path@version`: L, of all graphs read so far. */
  readonly asked = new Map<string, ModuleVersion>();
  /** Directories that replace a module, and whose go.mod was not given. */
  readonly unknownDirectories = new Set<string>();
  /** By path, then by version as written: it is asked for every edge of a graph, so no key is put together. */
  readonly #nodes = new Map<string, Map<string, Node>>();
  readonly #loading = new Map<Node, Promise<void>>();
  readonly #excluded: ReadonlySet<string>;
  readonly #replacements: ReplacementTable;
  readonly #load: LoadGoMod;
  readonly #limit: number;

  constructor(excluded: ReadonlySet<string>, replacements: ReplacementTable, load: LoadGoMod, limit: number) {
    this.#limit = limit;
    this.#excluded = excluded;
    this.#replacements = replacements;
    this.#load = load;
  }

  /** The node of a requirement; versions that early go wrote short (`v1`) or with metadata get their canonical form. */
  node(path: string, text: string): Node {
    let versions = this.#nodes.get(path);
    if (versions === undefined) {
      versions = new Map();
      this.#nodes.set(path, versions);
    }
    const known = versions.get(text);
    if (known !== undefined) return known;
    const canonical = canonicalVersion(text);
    const isWrittenShort = canonical !== text && canonical !== "";
    const node = isWrittenShort ? this.node(path, canonical) : this.#newNode(path, text);
    versions.set(text, node);
    return node;
  }

  /** A node whose go.mod file is at hand: a main module, under the version "". */
  mainNode(path: string, goMod: GoMod): Node {
    const node: Node = {
      path,
      version: "",
      source: undefined,
      directory: undefined,
      replaced: false,
      problem: undefined,
      requires: this.nodesOf(goMod),
      pruned: prunes(goMod),
      listsIndirect: false,
    };
    const versions = this.#nodes.get(path) ?? new Map<string, Node>();
    this.#nodes.set(path, versions.set("", node));
    return node;
  }

  /** What a go.mod file requires, in its order, without what the main modules exclude. */
  nodesOf(goMod: GoMod): Node[] {
    const nodes: Node[] = [];
    for (const { path, version } of goMod.require) {
      const node = this.node(path, version);
      if (this.#excluded.size === 0 || !this.#excluded.has(`${path}@${node.version}`)) nodes.push(node);
    }
    return nodes;
  }

  /**
   * Loads the node's go.mod once and sets `requires`; a failure is kept in `failures` and leaves it without any.
   * @throws FormatError when the build has read too many already.
   */
  async load(node: Node): Promise<void> {
    let loading = this.#loading.get(node);
    if (loading === undefined) {
      if (this.#loading.size >= this.#limit) {
        throw new FormatError(node.path, `module graph has more than ${this.#limit} go.mod files`);
      }
      loading = this.#read(node);
      this.#loading.set(node, loading);
    }
    await loading;
  }

  /** Whether a main module excludes the version. */
  isExcluded(path: string, version: string): boolean {
    return this.#excluded.has(`${path}@${version}`);
  }

  /** Whether a `replace` line without a version names the path, so that no version of it is ever read. */
  isReplaced(path: string): boolean {
    return this.#replacements.get(path, "") !== undefined;
  }

  /**
   * A node's go.mod file, or its replacement's, whatever module it declares (modload.rawGoModSummary); undefined where
   * it cannot be had.
   */
  async goModOf(node: Node): Promise<GoMod | undefined> {
    if (node.directory !== undefined) return this.#replacements.goModOf(node.directory);
    if (node.source === undefined) return undefined;
    this.asked.set(formatModuleVersion(node.source), node.source);
    return await this.#load(node.source).catch(() => undefined);
  }

  #newNode(path: string, version: string): Node {
    const replacement = this.#replacements.get(path, version);
    const directory = replacement?.directory;
    const replaced = replacement !== undefined;
    const node = {
      path,
      version,
      directory,
      replaced,
      requires: undefined,
      pruned: false,
      listsIndirect: false,
    };
    if (directory !== undefined) return { ...node, source: undefined, problem: undefined };
    try {
      const actual = replacement ?? node;
      return { ...node, source: moduleVersion(actual.path, actual.version), problem: undefined };
    } catch (problem) {
      return { ...node, source: undefined, problem };
    }
  }

  async #read(node: Node): Promise<void> {
    if (node.directory !== undefined) {
      const goMod = this.#replacements.goModOf(node.directory);
      if (goMod === undefined) this.unknownDirectories.add(node.directory);
      this.#set(node, goMod);
      return;
    }
    if (node.source === undefined) {
      this.failures.push({ path: node.path, version: node.version, error: node.problem });
      this.#set(node, undefined);
      return;
    }
    this.asked.set(formatModuleVersion(node.source), node.source);
    try {
      const goMod = await this.#load(node.source);
      checkModuleLine(goMod, node.path, node.source.path);
      this.#set(node, goMod);
    } catch (error) {
      this.failures.push({ ...node.source, error });
      this.#set(node, undefined);
    }
  }

  #set(node: Node, goMod: GoMod | undefined): void {
    node.requires = goMod === undefined ? [] : this.nodesOf(goMod);
    node.pruned = goMod !== undefined && prunes(goMod);
    node.listsIndirect = goMod?.require.some(({ indirect }) => indirect) ?? false;
  }
}

/** A go.mod file must name the module that asked for it, or the one that replaces it (modload.goModSummary). */
function checkModuleLine(goMod: GoMod, required: string, actual: string): void {
  const declared = goMod.module?.path;
  if (declared === undefined) throw new Error("go.mod has no module line");
  if (declared !== required && declared !== actual) {
    throw new Error(
      `go.mod declares its path as ${JSON.stringify(declared)} but was required as ${required}`,
    );
  }
}

/** Without a `go` line a file counts as go 1.16, the last before pruning (gover.DefaultGoModVersion). */
export function prunes(goMod: GoMod): boolean {
  return goVersionAtLeast(goVersionOf(goMod), prunedSince);
}
