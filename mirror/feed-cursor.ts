import { z } from "zod";
import { compareStamps, type IndexStamp, secondsBefore } from "../gomod/index-stamp.ts";
import { formatModuleVersion, type ModuleVersion } from "../gomod/version.ts";
import { sha256Of } from "./body.ts";

/** Entries may become visible late (facts: go-client): so much of what was read is read again, in seconds. */
export const OVERLAP = 30 * 60;

/** What the watermark of an index holds beside its stamp. */
export interface IndexCursor {
  /** Of all that was seen of the overlap, and of the subscriptions: where both are as they were, nothing is new. */
  readonly seen?: string;
  /** No window before this one is waited for any more: from here on completeUntil looks. */
  readonly open?: string;
  /** When a reading began that came to the index's end, ms since the epoch. */
  readonly checked?: number;
}

const shape = z.object({
  seen: z.string().max(64).optional(),
  open: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}T\d{2}$/)
    .optional(),
  checked: z.int().min(0).optional(),
});

/** What cannot be read is as good as none: then the overlap is looked at again, and all windows. */
export function parseCursor(text: string | undefined): IndexCursor {
  if (text === undefined) return {};
  try {
    const { seen, open, checked } = shape.parse(JSON.parse(text));
    return {
      ...(seen === undefined ? {} : { seen }),
      ...(open === undefined ? {} : { open }),
      ...(checked === undefined ? {} : { checked }),
    };
  } catch {
    return {};
  }
}

export function printCursor(cursor: IndexCursor): string {
  return JSON.stringify(cursor);
}

/** `2026-01-31T23`: the windows in which a ledger counts a feed's open work. */
export function windowOf(stamp: string): string {
  return stamp.slice(0, "2026-01-31T23".length);
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
