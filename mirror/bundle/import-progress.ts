import { z } from "zod";
import type { Sha256 } from "../body.ts";
import type { Clock, Ledger } from "../ports.ts";
import { contended, MOST_RACES } from "../update.ts";
import { Covered } from "./covered.ts";

/** A crash loses no more than what was done in so long, in ms. */
const SAVE_EVERY = 5_000;

const position = z.int().min(0);
const valueShape = z.object({
  objects: z.string(),
  checked: position,
  published: position,
  proven: z.boolean(),
});
type Value = z.output<typeof valueShape>;

type ProgressLedger = Pick<Ledger, "readItem" | "writeItem" | "deleteItem">;

/**
 * How far the import of one bundle has come, kept in the ledger, so that a call whose time is up, or that dies, is gone on
 * with by another process. Positions are in bytes of the bundle's packs laid end to end: all before one is done.
 */
export class ImportProgress {
  readonly checked: Covered;
  readonly published: Covered;
  /** How far files were published when this was opened: what others may rely upon. */
  readonly publishedBefore: number;
  readonly checkedBefore: number;
  readonly #ledger: ProgressLedger;
  readonly #id: Sha256;
  readonly #objects: string;
  readonly #now: Clock;
  #proven: boolean;
  #savedAt: number;
  #saved: string;
  #saving: Promise<void> = Promise.resolve();

  private constructor(ledger: ProgressLedger, id: Sha256, before: Value, now: Clock) {
    this.#ledger = ledger;
    this.#id = id;
    this.#objects = before.objects;
    this.#now = now;
    this.#proven = before.proven;
    this.checkedBefore = before.checked;
    this.publishedBefore = before.published;
    this.checked = new Covered(before.checked);
    this.published = new Covered(before.published === 0 ? undefined : before.published);
    this.#savedAt = now();
    this.#saved = JSON.stringify(before);
  }

  /**
   * @param id the SHA-256 of the bundle's list.
   * @param objects what the bundle's files are now, in one text: of others nothing that was checked counts.
   */
  static async open(
    ledger: ProgressLedger,
    id: Sha256,
    objects: string,
    now: Clock,
  ): Promise<ImportProgress> {
    const known = valueShape.safeParse((await ledger.readItem("bundle", id))?.value);
    const before = known.success && known.data.objects === objects ? known.data : undefined;
    return new ImportProgress(
      ledger,
      id,
      before ?? { objects, checked: 0, published: 0, proven: false },
      now,
    );
  }

  get isProven(): boolean {
    return this.#proven;
  }

  /** For a line of the log, and to see whether a call has brought it on. */
  get text(): string {
    return `${this.checked.upTo} ${this.#proven} ${this.published.upTo}`;
  }

  async noteProven(): Promise<void> {
    this.#proven = true;
    await this.save();
  }

  /** Kept now and then; one call of the ledger at a time. */
  async saveInTime(): Promise<void> {
    if (this.#now() - this.#savedAt < SAVE_EVERY) return;
    this.#savedAt = this.#now();
    await this.save();
  }

  async save(): Promise<void> {
    const next = this.#saving.then(() => this.#write());
    // Whoever saves next begins behind it all the same.
    this.#saving = next.catch(() => undefined);
    await next;
  }

  /** All is done with, or begins anew. */
  async clear(): Promise<void> {
    await this.#saving;
    const known = await this.#ledger.readItem("bundle", this.#id);
    if (known !== undefined) await this.#ledger.deleteItem(known);
  }

  async #write(): Promise<void> {
    const value: Value = {
      objects: this.#objects,
      checked: this.checked.upTo,
      published: this.published.upTo,
      proven: this.#proven,
    };
    if (JSON.stringify(value) === this.#saved) return;
    for (let race = 0; race < MOST_RACES; race++) {
      const revision = (await this.#ledger.readItem("bundle", this.#id))?.revision ?? 0;
      const item = { kind: "bundle", name: this.#id, revision, value } as const;
      if ((await this.#ledger.writeItem(item)) === "changed") continue;
      this.#saved = JSON.stringify(value);
      return;
    }
    throw contended(`the import of ${this.#id}`);
  }
}
