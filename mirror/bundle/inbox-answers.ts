import { z } from "zod";
import { MirrorError } from "../errors.ts";
import type { Clock, Ledger } from "../ports.ts";
import { parseJson } from "../vulnerability.ts";
import type { BundleSigner } from "./bundle-signer.ts";
import { type Imported, ImportGap } from "./import.ts";
import type { Arrival, BundleInbox } from "./inbox-ports.ts";
import { printNeeds } from "./needs.ts";
import { writeReceipt } from "./receipt.ts";

const REFUSED = "refused.json";
const NEEDS = "needs.json";
const RECEIPT = "receipt.json";
const RECEIPT_NOTE = "receipt.note";

/** What a mirror itself writes beside a bundle in its inbox. */
export const ANSWERS: ReadonlySet<string> = new Set([REFUSED, NEEDS, RECEIPT, RECEIPT_NOTE]);

/** Those of them that are taken back when they are true no more. */
export const TAKEN_BACK: readonly string[] = [REFUSED, NEEDS];

/** A line, a hash and some names. */
const LARGEST_ANSWER = 64 * 1024;
/** A message names a path, which has 2,048 characters at most. */
const LONGEST_MESSAGE = 8_000;

const refusedShape = z.object({
  format: z.literal("modferry-refused/1"),
  outcome: z.enum(["refused", "gap"]),
  attempt: z.string(),
});
const importedShape = z.object({ format: z.literal("modferry-imported/1"), attempt: z.string() });

/** What lies beside a bundle, and of which attempt it speaks. */
export interface Refusal {
  readonly outcome: "refused" | "gap" | "imported";
  readonly attempt: string;
}

/** What an import did, and whether its receipt is signed. */
export interface ImportedBundle extends Imported {
  readonly signed: boolean;
}

/** The answer beside a bundle; undefined where there is none, or what is there is none of ours. */
export async function refusalOf(inbox: BundleInbox, arrival: Arrival): Promise<Refusal | undefined> {
  const done = await readAnswer(inbox, arrival, RECEIPT, importedShape);
  if (done !== undefined) return { outcome: "imported", attempt: done.attempt };
  return await readAnswer(inbox, arrival, REFUSED, refusedShape);
}

async function readAnswer<T>(
  inbox: BundleInbox,
  arrival: Arrival,
  name: string,
  shape: z.ZodType<T>,
): Promise<T | undefined> {
  try {
    const bytes = await inbox.answer(arrival, name, LARGEST_ANSWER);
    return bytes && parseJson(shape, bytes, name);
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "malformed") return undefined;
    throw thrown;
  }
}

export interface AnswerParts {
  readonly inbox: BundleInbox;
  readonly ledger: Pick<Ledger, "readItem">;
  readonly now: Clock;
  /** Signs receipts; undefined: they are not signed. */
  readonly signer: BundleSigner | undefined;
}

/** Says why a bundle was refused, and of a gap what is missing. */
export async function refused(
  { inbox, now }: AnswerParts,
  arrival: Arrival,
  error: MirrorError,
  attempt: string,
): Promise<void> {
  const needs = error instanceof ImportGap ? error.needs : undefined;
  if (needs === undefined) await inbox.takeBack(arrival, NEEDS);
  else await inbox.say(arrival, NEEDS, printNeeds(needs));
  const answer = {
    format: "modferry-refused/1",
    outcome: needs === undefined ? "refused" : "gap",
    class: error.class,
    message: error.message.slice(0, LONGEST_MESSAGE),
    ...(needs === undefined ? {} : { needs: NEEDS, have: needs.have, want: needs.want }),
    at: new Date(now()).toISOString(),
    attempt,
  };
  await inbox.say(arrival, REFUSED, printed(answer));
}

/** Says what has arrived: in JSON, and where the mirror has a key of its own as `modferry receipt` signs it. */
export async function imported(
  { inbox, ledger, signer }: AnswerParts,
  arrival: Arrival,
  done: Imported,
): Promise<ImportedBundle> {
  await inbox.takeBack(arrival, REFUSED);
  await inbox.takeBack(arrival, NEEDS);
  if (signer !== undefined) await inbox.say(arrival, RECEIPT_NOTE, await writeReceipt(ledger, signer));
  const signed = signer !== undefined;
  const answer = {
    format: "modferry-imported/1",
    bundle: done.name,
    snapshot: done.to,
    files: done.files,
    bytes: done.bytes,
    ...(signed ? { note: RECEIPT_NOTE } : {}),
    attempt: arrival.objects,
  };
  // Last: until then the bundle is looked at again.
  await inbox.say(arrival, RECEIPT, printed(answer));
  return { ...done, signed };
}

const printed = (answer: object): Uint8Array => Buffer.from(`${JSON.stringify(answer, undefined, 2)}\n`);
