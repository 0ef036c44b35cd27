import { matchPrefixPatterns } from "../../gomod/path-pattern.ts";
import { BLOCKS_FRESH } from "../../mirror/blocks.ts";
import { ORDER_LOST_AFTER } from "../../mirror/records.ts";

interface Watched {
  readonly name: string;
  /** By the clock of whoever blocked it. */
  readonly at: number;
  /** When `block` came to its end, by the true clock. */
  returned: number | undefined;
  /** A unit of work that may not have seen it ran beside it or soon after. */
  isDoubtful: boolean;
  /** It is in the ledger: what it names is refused. */
  inForce: boolean;
  /** The second pass was over it: also what nobody has noted is gone. */
  isOver: boolean;
}

/**
 * Which blocks a reader may rely on. One is settled once `block` has come to its end with nobody else at work, or with
 * the second pass of reconcile, which comes when every unit of work that had begun before has ended. Until it is, what it
 * names may still be listed, and its zip be there; but only where somebody else was at work may a list name what needs a
 * zip that is gone (mirror/block.ts).
 */
export class BlockWatch {
  readonly #blocks = new Map<string, Watched>();
  /** Names of the blocks of this step. */
  readonly #ofStep = new Set<string>();

  readonly #ever = new Set<string>();

  beginStep(): void {
    this.#ofStep.clear();
    for (const name of this.#blocks.keys()) this.#ofStep.add(name);
  }

  /** @param isAlone nobody else is at work meanwhile. */
  begin(name: string, at: number, isAlone: boolean): void {
    this.#ever.add(name);
    const known = this.#blocks.get(name);
    this.#blocks.set(name, {
      name,
      at: Math.max(at, known?.at ?? 0),
      returned: undefined,
      isDoubtful: known?.isDoubtful === true || !isAlone,
      inForce: known?.inForce ?? false,
      isOver: false,
    });
    this.#ofStep.add(name);
  }

  /** Its item is in the ledger. */
  written(name: string): void {
    const block = this.#blocks.get(name);
    if (block !== undefined) block.inForce = true;
  }

  /** @param isAlone nobody else was at work meanwhile. */
  returned(name: string, now: number, isAlone: boolean): void {
    const block = this.#blocks.get(name);
    if (block === undefined) return;
    block.returned = now;
    if (!isAlone) block.isDoubtful = true;
  }

  /** The unblock begins: nothing is promised of it any more. */
  unblocking(name: string, isAlone: boolean): void {
    const block = this.#blocks.get(name);
    if (block !== undefined) Object.assign(block, { inForce: false, returned: undefined });
    if (block !== undefined && !isAlone) block.isDoubtful = true;
    this.#ofStep.add(name);
  }

  unblocked(name: string): void {
    this.#blocks.delete(name);
  }

  /** A unit of work begins: it may go by what it has read of the blocks before. */
  workBegins(now: number): void {
    for (const block of this.#blocks.values())
      if (block.returned === undefined || now < block.returned + BLOCKS_FRESH + 5_000)
        block.isDoubtful = true;
  }

  /** A reconcile without problems came to its end, with nobody else at work. @param now by its own clock, at its beginning. */
  reconciled(now: number): void {
    for (const block of this.#blocks.values()) {
      if (!block.inForce || now < block.at + ORDER_LOST_AFTER) continue;
      block.returned = now;
      block.isDoubtful = false;
      block.isOver = true;
    }
  }

  get names(): string[] {
    return [...this.#blocks.keys()];
  }

  get inForce(): string[] {
    return [...this.#blocks.values()].filter(({ inForce }) => inForce).map(({ name }) => name);
  }

  isBlocked = (version: string): boolean =>
    [...this.#blocks.values()].some((block) => block.inForce && names(block.name, version));

  isUnsettled = (version: string): boolean =>
    [...this.#blocks.values()].some(
      (block) => (block.returned === undefined || block.isDoubtful) && names(block.name, version),
    );

  isOver = (version: string): boolean =>
    [...this.#blocks.values()].some((block) => block.isOver && names(block.name, version));

  /** Somebody who did not know of its block may have listed what needs it. */
  mayLack = (version: string): boolean =>
    [...this.#blocks.values()].some((block) => block.isDoubtful && names(block.name, version));

  /** A block named it at some time: who has read that may go by it for a while. */
  wasEverBlocked = (version: string): boolean => [...this.#ever].some((block) => names(block, version));

  wasBlocked = (version: string): boolean => [...this.#ofStep].some((block) => names(block, version));
}

/** As mirror/blocks.ts, on its own. */
export function names(block: string, version: string): boolean {
  if (block.includes("@")) return block === version;
  return matchPrefixPatterns(block, version.slice(0, version.indexOf("@")));
}
