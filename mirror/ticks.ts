import { z } from "zod";
import { asMirrorError } from "./errors.ts";
import { ERROR_BYTES } from "./failed-record.ts";
import { firstBytes } from "./first-bytes.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { Clock, Ledger } from "./ports.ts";

/** How the last tick of a name went, in the ledger's `control` item `tick/<name>`. Times in ms since the epoch. */
export interface Tick {
  readonly name: string;
  /** When it ended. */
  readonly at: number;
  /** How long it took, in ms. */
  readonly took: number;
  /** When one last ended well; absent where none did. */
  readonly succeeded?: number;
  /** What was wrong with it; absent where it ended well. */
  readonly error?: string;
}

const PREFIX = "tick/";

const shape = z.object({
  at: z.number(),
  took: z.number(),
  succeeded: z.number().optional(),
  error: z.string().optional(),
});

/**
 * Does a tick and notes how it went, for `modferry status` and `/-/metrics`: two calls of the ledger. One that was skipped
 * since another is at work is not noted, and a note that cannot be written, or that another tick was first with, fails
 * nothing: the next one is.
 * @param problemOf what was wrong with one that came to its end; undefined where nothing was.
 */
export async function noteTick<T>(
  { ledger, now }: { readonly ledger: Pick<Ledger, "readItem" | "writeItem">; readonly now: Clock },
  name: string,
  work: () => Promise<T>,
  wasSkipped: (done: T) => boolean = () => false,
  problemOf: (done: T) => string | undefined = () => undefined,
): Promise<T> {
  const started = now();
  const note = async (error?: string) => {
    try {
      const item = await ledger.readItem("control", `${PREFIX}${name}`);
      const at = now();
      const succeeded = error === undefined ? at : (item && tickOf(item))?.succeeded;
      const value = {
        at,
        took: Math.max(0, at - started),
        ...(succeeded === undefined ? {} : { succeeded }),
        ...(error === undefined ? {} : { error: firstBytes(error, ERROR_BYTES) }),
      };
      await ledger.writeItem({
        kind: "control",
        name: `${PREFIX}${name}`,
        revision: item?.revision ?? 0,
        value,
      });
    } catch {
      // The last tick then looks older than it is, which is what is wrong.
    }
  };
  let done: T;
  try {
    done = await work();
  } catch (thrown) {
    await note(asMirrorError(thrown, name).message);
    throw thrown;
  }
  if (!wasSkipped(done)) await note(problemOf(done));
  return done;
}

/** @returns undefined where the item is no tick's. */
export function tickOf({ kind, name, value }: LedgerItem): Tick | undefined {
  if (kind !== "control" || !name.startsWith(PREFIX)) return undefined;
  const parsed = shape.safeParse(value);
  if (!parsed.success) return undefined;
  const { at, took, succeeded, error } = parsed.data;
  return {
    name: name.slice(PREFIX.length),
    at,
    took,
    ...(succeeded === undefined ? {} : { succeeded }),
    ...(error === undefined ? {} : { error }),
  };
}
