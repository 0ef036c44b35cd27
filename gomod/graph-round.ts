import type { Node, Requirements } from "./requirements.ts";
import { compareSemver } from "./semver.ts";

/**
 * How far a graph is read below a module (modload.modPruning): `pruned` reads the module's own go.mod, and below
 * it only where that file is older than pruning; `unpruned` reads all below it; `workspace` reads the go.mod of
 * each requirement, and below that as the module's own `go` line says.
 */
export type Reading = "pruned" | "unpruned" | "workspace";

/** One reading of a graph from its roots, breadth first, many files in flight (modload.readModGraph). */
export class Round {
  /** The highest node of each path met so far (minimal version selection), main modules among them. */
  readonly selected = new Map<string, Node>();
  /** Nodes that gave way to a higher one: most edges name such a node again, and versions are slow to compare. */
  readonly #outdone = new Set<Node>();
  readonly #requirements: Requirements;
  readonly #concurrency: number;
  readonly #entered = {
    pruned: new Set<Node>(),
    unpruned: new Set<Node>(),
    workspace: new Set<Node>(),
  };
  readonly #queue: { readonly node: Node; readonly reading: Reading }[] = [];
  #next = 0;

  constructor(requirements: Requirements, concurrency: number) {
    this.#requirements = requirements;
    this.#concurrency = concurrency;
  }

  select(node: Node): void {
    const held = this.selected.get(node.path);
    if (held === node || this.#outdone.has(node)) return;
    const isHigher = held === undefined || isBelow(held, node);
    if (isHigher) this.selected.set(node.path, node);
    const lower = isHigher ? held : node;
    if (lower !== undefined) this.#outdone.add(lower);
  }

  /** Has `idle` read the node's go.mod, and below it what `reading` says; each pair counts once. */
  enqueue(node: Node, reading: Reading): void {
    const entered = this.#entered[reading];
    if (entered.has(node)) return;
    entered.add(node);
    this.#queue.push({ node, reading });
  }

  /**
   * Reads all that is enqueued, and what comes up by it.
   * @throws what `Requirements.load` throws.
   */
  async idle(): Promise<void> {
    const inFlight = new Set<Promise<void>>();
    for (;;) {
      for (let item = this.#queue[this.#next]; item !== undefined; item = this.#queue[this.#next]) {
        const { node, reading } = item;
        if (node.requires === undefined) {
          if (inFlight.size >= this.#concurrency) break;
          const loading: Promise<void> = this.#requirements.load(node).then(() => {
            inFlight.delete(loading);
            this.#expand(node, reading);
          });
          inFlight.add(loading);
        } else {
          this.#expand(node, reading);
        }
        this.#next++;
      }
      if (inFlight.size === 0) return;
      await Promise.race(inFlight);
    }
  }

  #expand(node: Node, reading: Reading): void {
    const below = reading === "unpruned" || !node.pruned ? "unpruned" : "pruned";
    for (const required of node.requires ?? []) {
      this.select(required);
      if (reading !== "pruned" || !node.pruned) this.enqueue(required, below);
    }
  }
}

/** Whether `held` gives way to `other`, a node of the same path; a main module's version "" is the highest. */
export function isBelow(held: Node, other: Node): boolean {
  if (held.version === "") return false;
  return other.version === "" || compareSemver(held.version, other.version) < 0;
}
