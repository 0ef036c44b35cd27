import { isBelow, Round } from "./graph-round.ts";
import {
  type BuildRequest,
  exclusions,
  type MainModule,
  mainPath,
  replacementTable,
} from "./main-modules.ts";
import { comparePaths } from "./module-path.ts";
import { type LoadFailure, type LoadGoMod, type Node, prunes, Requirements } from "./requirements.ts";
import { compareModuleVersions, formatModuleVersion, type ModuleVersion } from "./version.ts";

export type { BuildRequest, MainModule } from "./main-modules.ts";
export type { LoadFailure, LoadGoMod } from "./requirements.ts";

/** `.mod` files in flight at once. The go command reads as many as it has cores; what counts here is latency. */
const DEFAULT_CONCURRENCY = 64;

/** One line of `go list -m all`. */
export interface BuildListEntry {
  readonly path: string;
  readonly version: string;
  /** What go reads instead: another module, or a directory, whose version is "". */
  readonly replacement?: { readonly path: string; readonly version: string };
}

/** A build's module graph, as far as go reads it. All lists are unique and in module.Sort order. */
export interface ModuleGraph {
  /** L: the modules whose `.mod` go reads, replacements under their own names. */
  readonly loaded: readonly ModuleVersion[];
  /** S: the modules that the build list stands on, replacements under their own names, directories left out. */
  readonly selected: readonly ModuleVersion[];
  /** What `go list -m all` prints, without the main modules. */
  readonly buildList: readonly BuildListEntry[];
  /** What of L and S cannot be had: its requirements are missing from the graph. */
  readonly failures: readonly LoadFailure[];
  /** Directories that replace a module and whose go.mod was not given: their requirements are missing, too. */
  readonly unknownDirectories: readonly string[];
}

export interface GraphOptions {
  /** How many `.mod` files may be in flight at once. */
  readonly concurrency?: number;
  /** How many `.mod` files one graph may read. */
  readonly limit?: number;
}

/**
 * The largest graphs seen have some thousands of modules; an upstream that invents modules without end must not fill
 * the memory.
 */
const DEFAULT_LIMIT = 100_000;

/** The selected node of each path. */
export type Selected = ReadonlyMap<string, Node>;

/**
 * Reads the module graph of a build as go does (modload.LoadModGraph).
 * @throws FormatError for a graph beyond all measure; a module that `load` cannot give is in `failures`.
 */
export async function loadModuleGraph(
  request: BuildRequest,
  load: LoadGoMod,
  options: GraphOptions = {},
): Promise<ModuleGraph> {
  const requirements = requirementsOf(request, load, options);
  return describeGraph(requirements, await new GraphReader(requirements, options).readBuild(request));
}

/** The go.mod files of a build, with its exclusions and replacements. */
export function requirementsOf(
  request: BuildRequest,
  load: LoadGoMod,
  { limit = DEFAULT_LIMIT }: GraphOptions,
): Requirements {
  return new Requirements(exclusions(request), replacementTable(request), load, limit);
}

/** Reads graphs over one set of go.mod files, so that no file is read twice. */
export class GraphReader {
  readonly #requirements: Requirements;
  readonly #concurrency: number;

  constructor(requirements: Requirements, options: GraphOptions = {}) {
    this.#requirements = requirements;
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
  }

  readBuild({ mains, work }: BuildRequest): Promise<Selected> {
    const [main] = mains;
    return work !== undefined || main === undefined ? this.readWorkspace(mains) : this.readModule(main);
  }

  /** The graph of a module outside a workspace, as it stands or, with `unpruned`, as go 1.16 would read it. */
  async readModule(main: MainModule, unpruned = !prunes(main.goMod)): Promise<Selected> {
    const node = this.#requirements.mainNode(mainPath(main), main.goMod);
    const roots = node.requires ?? [];
    // An old module reads its requirements as they stand; a pruned one first drops those on itself, and all but
    // the highest of each path (modload.updatePrunedRoots).
    if (unpruned) return (await this.#read(node, roots, "unpruned")).selected;
    return this.readPruned(
      highest([node, ...roots]).filter((root) => root !== node),
      node,
    );
  }

  /**
   * The graph of a main module of go 1.17 or newer with these roots. Where it shows that a root is not the version
   * selected for its path, go raises the root and reads again (modload.expandGraph).
   */
  async readPruned(roots: readonly Node[], main?: Node): Promise<Selected> {
    for (let current = roots; ; ) {
      const { selected } = await this.#read(main, current, "pruned");
      const raised = current.map((root) => selected.get(root.path) ?? root);
      if (raised.every((root, at) => root === current[at])) return selected;
      current = raised;
    }
  }

  /** Reads what is below all of `roots` at once, without raising any. */
  async readTogether(roots: readonly Node[], reading: "pruned" | "unpruned" = "pruned"): Promise<Selected> {
    return (await this.#read(undefined, roots, reading)).selected;
  }

  /** The graph of a workspace (modload.readModGraph with `workspace`); a main module has the version "". */
  async readWorkspace(mains: readonly MainModule[]): Promise<Selected> {
    const nodes = mains.map((main) => this.#requirements.mainNode(mainPath(main), main.goMod));
    const round = new Round(this.#requirements, this.#concurrency);
    for (const node of nodes) round.select(node);
    for (const node of nodes) round.enqueue(node, "workspace");
    await round.idle();
    // Where a higher version is selected than a module requires, that version's requirements tell what it imports:
    // go reads these, and so on for what they require, until nothing new comes up.
    const paths = new Set(nodes.map(({ path }) => path));
    const seen = new Set<Node>();
    for (;;) {
      const fresh = new Set<Node>();
      for (const path of paths) {
        const node = round.selected.get(path);
        if (node === undefined) continue;
        if (!seen.has(node)) {
          fresh.add(node);
          continue;
        }
        for (const required of node.requires ?? []) {
          const selected = round.selected.get(required.path);
          if (selected !== undefined && isBelow(required, selected) && !seen.has(selected))
            fresh.add(selected);
        }
      }
      if (fresh.size === 0) return round.selected;
      for (const node of fresh) {
        round.enqueue(node, "workspace");
        seen.add(node);
        paths.add(node.path);
      }
      await round.idle();
    }
  }

  async #read(
    main: Node | undefined,
    roots: readonly Node[],
    reading: "pruned" | "unpruned",
  ): Promise<Round> {
    const round = new Round(this.#requirements, this.#concurrency);
    if (main !== undefined) round.select(main);
    for (const root of roots) round.select(root);
    for (const root of roots) round.enqueue(root, reading);
    await round.idle();
    return round;
  }
}

/** Sorts out what was read, and what the selected nodes stand on. */
export function describeGraph(requirements: Requirements, nodes: Selected): ModuleGraph {
  const buildList: BuildListEntry[] = [];
  const selected = new Map<string, ModuleVersion>();
  const failures = [...requirements.failures];
  for (const node of nodes.values()) {
    if (node.version === "") continue;
    const { path, version, source, directory } = node;
    const replacement = directory !== undefined ? { path: directory, version: "" } : source;
    buildList.push({ path, version, ...(node.replaced && replacement !== undefined ? { replacement } : {}) });
    if (source !== undefined) selected.set(formatModuleVersion(source), source);
    else if (directory === undefined && node.requires === undefined) {
      failures.push({ path, version, error: node.problem });
    }
  }
  return {
    loaded: sorted(requirements.asked.values()),
    selected: sorted(selected.values()),
    buildList: buildList.sort((a, b) => comparePaths(a.path, b.path)),
    failures: failures.sort((a, b) => comparePaths(a.path, b.path) || comparePaths(a.version, b.version)),
    unknownDirectories: [...requirements.unknownDirectories].sort(comparePaths),
  };
}

function sorted(modules: Iterable<ModuleVersion>): ModuleVersion[] {
  return [...modules].sort(compareModuleVersions);
}

/** The highest of each path, in the order of first appearance. */
function highest(nodes: readonly Node[]): Node[] {
  const byPath = new Map<string, Node>();
  for (const node of nodes) {
    const held = byPath.get(node.path);
    if (held === undefined || isBelow(held, node)) byPath.set(node.path, node);
  }
  return [...byPath.values()];
}
