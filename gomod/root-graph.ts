import { isBelow } from "./graph-round.ts";
import { type GraphOptions, GraphReader, type Selected } from "./module-graph.ts";
import type { Node, Requirements } from "./requirements.ts";

/** What a main module may select that requires the wished modules. */
export interface RootGraph {
  /** The build list right after `go get`, before any package is imported. */
  readonly selected: Selected;
  /** All that some choice of imported packages can select, `selected` and the wished modules among it. */
  readonly selectable: ReadonlySet<Node>;
}

/**
 * Reads the graphs of all main modules (go 1.17 or newer) that require all of `wished`, and import any of their
 * packages.
 *
 * Which packages those are decides the go.mod file: `go get`, `go mod tidy` and `go install` make every module that
 * provides one a root (modload.updatePrunedRoots), so its `.mod` is read, and all below it where it is older than
 * pruning. Without the zips the providers are not known, but since go 1.17 `go mod tidy` lists in a module's go.mod
 * all providers that its packages and tests need. So every module that the wished ones list is read as a root. A
 * version that some choice of roots selects is the highest that one of these roots selects alone, and never below
 * what the wished modules list themselves: `selectable` holds just these versions.
 *
 * A provider above the version that a wished module lists may import what that list lacks; then all that the
 * provider lists may be roots as well. The same holds, at any depth, below a wished module of go 1.17 or newer
 * that marks nothing `// indirect`: it may never have been tidied.
 *
 * Recorded with go 1.26.8: `get`, `build`, `tidy`, `download all` and `list -m all` of gin v1.12.0 in an empty module
 * ask 55 zips, where the graph right after `get` has 36; this finds 65. Computed here, not recorded: golangci-lint
 * v2.5.0 has 219 after `get`, 374 with all that it lists as roots, and 431 by this function.
 */
export async function readRootGraph(
  requirements: Requirements,
  wished: readonly Node[],
  options: GraphOptions = {},
): Promise<RootGraph> {
  const reader = new GraphReader(requirements, options);
  const selected = await reader.readPruned(wished);
  const promotion = new Promotion(reader, selected, wished);
  promotion.joinWished(wished);
  for (const node of selected.values()) promotion.join(node, false);
  return { selected, selectable: await promotion.run() };
}

/**
 * The same of a project that requires `required` and the wished modules, and selects `selected` before it imports any
 * of their packages. What it imports already is provided by what it requires, as `go mod tidy` leaves it.
 */
export async function readSelectable(
  reader: GraphReader,
  selected: Selected,
  required: readonly Node[],
  wished: readonly Node[],
): Promise<ReadonlySet<Node>> {
  const promotion = new Promotion(reader, selected, wished);
  for (const node of required) promotion.join(node, false);
  promotion.joinWished(wished);
  for (const { path } of [...required, ...wished.flatMap((root) => root.requires ?? [])]) {
    const node = selected.get(path);
    if (node !== undefined && node.version !== "") promotion.join(node, false);
  }
  return await promotion.run();
}

/** Finds what can be selected as more and more of it becomes a root. */
class Promotion {
  readonly #reader: GraphReader;
  readonly #floor: Selected;
  readonly #selectable: Set<Node>;
  /** The lowest version known of each path that may provide packages. */
  readonly #providers = new Map<string, Node>();
  /** Nodes whose go.mod cannot be trusted to list all that they import. */
  readonly #untidy = new Set<Node>();
  /** What each node selects as the only root. */
  readonly #alone = new Map<Node, readonly Node[]>();
  /** Nodes all of whose selection may provide packages. */
  readonly #opened = new Set<Node>();

  /** @param wished fetched and read even where another of them raises it, if only for go to say so */
  constructor(reader: GraphReader, floor: Selected, wished: readonly Node[]) {
    this.#reader = reader;
    this.#floor = floor;
    this.#selectable = new Set(wished);
  }

  /** Takes the node for a provider of packages. */
  join(node: Node, untidy: boolean): void {
    const lowest = this.#providers.get(node.path);
    if (lowest === undefined || isBelow(node, lowest)) this.#providers.set(node.path, node);
    if (untidy) this.#untidy.add(node);
    const least = this.#floor.get(node.path);
    if (least === undefined || least === node || isBelow(least, node)) this.#selectable.add(node);
  }

  /** Takes the wished modules, and all that they list, for providers of packages. */
  joinWished(wished: readonly Node[]): void {
    for (const root of wished) {
      this.join(root, false);
      for (const listed of root.requires ?? []) this.join(listed, root.pruned && !root.listsIndirect);
    }
  }

  async run(): Promise<ReadonlySet<Node>> {
    for (;;) {
      const providers = [...this.#selectable].filter(({ path }) => this.#providers.has(path));
      const unread = providers.filter((node) => !this.#alone.has(node));
      const opening = providers.filter((node) => !this.#opened.has(node) && this.#mayImportMore(node));
      if (unread.length === 0 && opening.length === 0) return this.#selectable;
      // Together first, so that reading them one by one waits for no file.
      await this.#reader.readTogether(unread);
      for (const node of unread) {
        // One round: a root that this round raises keeps its new version, even when the next one would not.
        const alone = [...(await this.#reader.readTogether([node])).values()];
        this.#alone.set(node, alone);
        for (const found of alone) {
          const least = this.#floor.get(found.path);
          if (least === undefined || isBelow(least, found)) this.#selectable.add(found);
        }
      }
      for (const node of opening) {
        this.#opened.add(node);
        for (const found of this.#alone.get(node) ?? []) this.join(found, this.#untidy.has(node));
      }
    }
  }

  #mayImportMore(node: Node): boolean {
    const lowest = this.#providers.get(node.path);
    return this.#untidy.has(node) || (lowest !== undefined && isBelow(lowest, node));
  }
}
