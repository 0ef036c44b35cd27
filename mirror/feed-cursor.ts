import { z } from "zod";
import { compareStamps, type IndexStamp, secondsBefore } from "../gomod/index-stamp.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { sha256Of } from "./body.ts";

/** Entries may become visible late (facts: go-client): so much of what was read is read again, in seconds. */
export const OVERLAP = 30 * 60;

/** What a feed's watermark holds beside its stamp. */
export interface FeedCursor {
  /** Of all that was seen of the overlap, and of the subscriptions: where both are as they were, nothing is new. */
  readonly seen?: string;
  /** The hour in which counts of work that had come to its end were last forgotten. */
  readonly forgot?: string;
  /** When a reading began that came to the index's end, or up to when all polled modules were asked; ms since the epoch. */
  readonly checked?: number;
  /** As many lines this index has given in one answer: fewer of them are all that it has. */
  readonly most?: number;
  /** Roots that are kept until somebody can say whether they are retracted. */
  readonly later?: number;
  /** Polled modules whose lists cannot be had. */
  readonly failing?: number;
}

const shape = z.object({
  seen: z.exactOptional(z.string().max(64)),
  forgot: z.exactOptional(z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}$/)),
  checked: z.exactOptional(z.int().min(0)),
  most: z.exactOptional(z.int().min(0)),
  later: z.exactOptional(z.int().min(0)),
  failing: z.exactOptional(z.int().min(0)),
});

/** What cannot be read is as good as none: then the overlap is looked at again. */
export function parseCursor(text: string | undefined): FeedCursor {
  if (text === undefined) return {};
  try {
    return shape.parse(JSON.parse(text));
  } catch {
    return {};
  }
}

export function printCursor(cursor: FeedCursor): string {
  return JSON.stringify(cursor);
}

/** What was read of an index lately, so that a version that stands in two answers counts once. */
export class SeenEntries {
  readonly #stamps = new Map<string, IndexStamp>();

  /** @returns whether it is new. */
  add(version: ModuleVersion, stamp: IndexStamp): boolean {
    const name = formatModuleVersion(version);
    if (this.#stamps.has(name)) return false;
    this.#stamps.set(name, stamp);
    return true;
  }

  /** Forgets what no further answer can repeat. */
  forgetBefore(stamp: IndexStamp): void {
    for (const [name, seen] of this.#stamps) if (compareStamps(seen, stamp) < 0) this.#stamps.delete(name);
  }

  /** Of what lies in the overlap before `position`, whatever its order. */
  digest(position: IndexStamp, fingerprint: string): string {
    const from = secondsBefore(position, OVERLAP);
    const lines = [...this.#stamps]
      .filter(([, stamp]) => compareStamps(stamp, from) >= 0)
      .map(([name, stamp]) => `${name} ${stamp}`);
    return sha256Of(Buffer.from([fingerprint, ...lines.sort()].join("\n")));
  }
}
