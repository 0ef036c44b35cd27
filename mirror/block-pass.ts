import { type Block, type Progress, parseBlock, printBlock } from "./blocks.ts";
import { type Deadline, TIME_TO_CLOSE } from "./deadline.ts";
import type { ClosureWalk } from "./dependents.ts";
import type { MirrorParts } from "./parts.ts";
import type { Ledger } from "./ports.ts";
import { contended, MOST_RACES } from "./update.ts";

/** How far a pass has come is noted this often, in ms, so that a crash costs no more; a short pass notes nothing. */
const NOTED_EVERY = 10_000;
/** An item of the ledger holds less than 2 KB; a longer place is not noted, and its batch done again. */
const LONGEST_PLACE = 800;

const STEPS: readonly Progress["step"][] = ["records", "dependents", "zips"];

/**
 * One pass over all that a block names. Where it is noted, another process goes on from there: it is noted only when all
 * before it is done, and only as long as the block is the same and no other pass over it is noted.
 */
export class BlockPass {
  readonly name: string;
  readonly #parts: Pick<MirrorParts, "ledger" | "now">;
  readonly #block: Block;
  readonly #deadline: Deadline;
  #progress: Progress;
  #notedAt: number;

  constructor(parts: Pick<MirrorParts, "ledger" | "now">, block: Block, deadline: Deadline) {
    this.name = block.name;
    this.#parts = parts;
    this.#block = block;
    this.#deadline = deadline;
    this.#notedAt = parts.now();
    this.#progress = block.progress ?? { since: this.#notedAt, step: "records" };
  }

  /** Whether an earlier pass is gone on with. */
  get isResumed(): boolean {
    return this.#block.progress !== undefined;
  }

  /**
   * Does one step, from where it was; one that was done before is left out.
   * @param act gives false where time was up, with what is done noted.
   * @returns whether the step is done.
   */
  async step(step: Progress["step"], act: (after: string | undefined) => Promise<boolean>): Promise<boolean> {
    const { since, step: current, after } = this.#progress;
    if (STEPS.indexOf(step) < STEPS.indexOf(current)) return true;
    if (step !== current) this.#progress = { since, step };
    if (!this.hasTime) {
      await this.note();
      return false;
    }
    return await act(step === current ? after : undefined);
  }

  /** All up to `place` is done. @returns whether there is time for more. */
  async reached(place: string): Promise<boolean> {
    if (Buffer.byteLength(place) <= LONGEST_PLACE) this.#progress = { ...this.#progress, after: place };
    const { hasTime } = this;
    if (!hasTime || this.#parts.now() - this.#notedAt >= NOTED_EVERY) await this.note();
    return hasTime;
  }

  /** As a walk over closures. */
  walk(after: string | undefined): ClosureWalk {
    return { ...(after === undefined ? {} : { after }), reached: (key) => this.reached(key) };
  }

  /** Notes where it is, so that it goes on there whatever happens. */
  async note(): Promise<void> {
    const progress = this.#progress;
    await this.#write((known) =>
      known.progress === undefined || known.progress.since === progress.since
        ? { ...known, progress }
        : undefined,
    );
    this.#notedAt = this.#parts.now();
  }

  /** The block is applied as of when this pass began: a unit of work that came behind it is for the next one. */
  async end(): Promise<void> {
    const { since } = this.#progress;
    await this.#write((known) => {
      const { progress, ...rest } = known;
      const others = progress === undefined || progress.since === since ? {} : { progress };
      return { ...rest, ...others, applied: Math.max(known.applied ?? 0, since) };
    });
  }

  get hasTime(): boolean {
    return this.#deadline.remaining() >= TIME_TO_CLOSE;
  }

  /** Nothing where it was blocked anew, lifted or forgotten meanwhile. */
  async #write(next: (known: Block) => Block | undefined): Promise<void> {
    const { at, lifted } = this.#block;
    await writeBlock(this.#parts.ledger, this.name, (known) =>
      known?.at === at && known.lifted === lifted ? next(known) : undefined,
    );
  }
}

/**
 * Reads a block, decides, and writes, anew where another writer was first.
 * @param next undefined: it stays as it is. @returns what is stored now.
 */
export async function writeBlock(
  ledger: Pick<Ledger, "readItem" | "writeItem">,
  name: string,
  next: (known: Block | undefined) => Block | undefined,
): Promise<Block | undefined> {
  for (let race = 0; race < MOST_RACES; race++) {
    const item = await ledger.readItem("block", name);
    const known = item && parseBlock(item);
    const wanted = next(known);
    if (wanted === undefined) return known;
    const written = await ledger.writeItem(printBlock(wanted));
    if (written !== "changed") return parseBlock(written);
  }
  throw contended(`block ${name}`);
}
