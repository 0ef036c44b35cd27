import { randomUUID } from "node:crypto";
import { z } from "zod";
import { parseModuleVersion } from "../gomod/version.ts";
import { blockName } from "./blocks.ts";
import { ERROR_CLASSES, type ErrorClass, MirrorError } from "./errors.ts";
import type { LedgerItem } from "./ledger-entries.ts";
import type { Ledger } from "./ports.ts";

/**
 * What an operator decides while another process writes a folder mirror, which alone may carry it out: an item of the ledger
 * for each, which the writer finds, marks as taken, does and answers, and whoever has left it takes away.
 */
type ItemLedger = Pick<Ledger, "readItem" | "writeItem" | "deleteItem" | "items">;

const KIND = "control";
const PREFIX = "left/";
/** An order that is older was left by a process that is gone: nobody may want it any more. In ms. */
export const ORDER_STANDS = 60_000;
/** As block's; an item has room for it (LARGEST_ITEM). */
const words = z.string().min(1).max(300);

const orderShape = z.discriminatedUnion("verb", [
  z.strictObject({ verb: z.literal("unblock"), name: words, by: words }),
  z.strictObject({
    verb: z.literal("resolve-conflict"),
    name: words,
    resolution: z.enum(["keep", "take"]),
    by: words,
    reason: words,
  }),
  /** `name`: a pattern as retry's; "all" for none. Of what no database covers as the writer sees it, conflicts stay. */
  z.strictObject({ verb: z.literal("retry"), name: words, knowsCoverage: z.boolean() }),
]);
export type LeftOrder = z.output<typeof orderShape>;

const answerShape = z.union([
  z.strictObject({ done: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])) }),
  z.strictObject({ class: z.enum(ERROR_CLASSES), message: z.string().max(1_000) }),
]);
/** What came of it: for the verb to print, or the error that it ends with. */
export type OrderAnswer =
  | { readonly done: Readonly<Record<string, string | number | boolean>> }
  | { readonly class: ErrorClass; readonly message: string };

const shape = z.strictObject({
  at: z.int().min(0),
  order: orderShape,
  taken: z.literal(true).optional(),
  answer: answerShape.optional(),
});

/** An order as it stands. */
export interface StandingOrder {
  readonly item: LedgerItem;
  readonly at: number;
  readonly order: LeftOrder;
  readonly taken: boolean;
  readonly answer?: OrderAnswer;
}

/** @returns the name under which its answer is to be looked for. @throws MirrorError misuse where it is too long. */
export async function leaveOrder(ledger: ItemLedger, order: LeftOrder, now: number): Promise<string> {
  const parsed = orderShape.safeParse(order);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new MirrorError(
      "misuse",
      order.name,
      `${issue?.path.join(".")}: ${issue?.message}; say it shorter`,
    );
  }
  const name = `${PREFIX}${randomUUID()}`;
  await ledger.writeItem({ kind: KIND, name, revision: 0, value: { at: now, order: parsed.data } });
  return name;
}

/** undefined where it is not there any more. */
export async function readOrder(ledger: ItemLedger, name: string): Promise<StandingOrder | undefined> {
  const item = await ledger.readItem(KIND, name);
  return item && parseOrder(item);
}

/** Takes it away. @returns false where the writer has touched it meanwhile: read it again. */
export async function withdrawOrder(ledger: ItemLedger, { item }: StandingOrder): Promise<boolean> {
  return await ledger.deleteItem(item);
}

/**
 * Carries out what was left, one after the other; for the one writer. What is too old, or cannot be read, is taken away.
 * @param act throws MirrorError where it cannot be done, which is then the answer.
 */
export async function takeOrders(
  ledger: ItemLedger,
  now: () => number,
  act: (order: LeftOrder) => Promise<Readonly<Record<string, string | number | boolean>>>,
): Promise<void> {
  const left: LedgerItem[] = [];
  for await (const item of ledger.items(KIND)) if (item.name.startsWith(PREFIX)) left.push(item);
  for (const item of left) {
    const standing = parseOrder(item);
    if (standing === undefined || standing.at + ORDER_STANDS < now()) {
      await ledger.deleteItem(item);
      continue;
    }
    if (standing.taken || standing.answer !== undefined) continue;
    const { at, order } = standing;
    const taken = await ledger.writeItem({ ...item, value: { at, order, taken: true } });
    // Withdrawn.
    if (taken === "changed") continue;
    const answer: OrderAnswer = await act(order).then(
      (done) => ({ done }),
      (thrown: unknown) => {
        if (!(thrown instanceof MirrorError)) throw thrown;
        return { class: thrown.class, message: thrown.message.slice(0, 1_000) };
      },
    );
    await ledger.writeItem({ ...taken, value: { at, order, taken: true, answer } });
  }
}

function parseOrder(item: LedgerItem): StandingOrder | undefined {
  const { data } = shape.safeParse(item.value);
  if (data === undefined) return undefined;
  const { at, order, taken = false, answer } = data;
  try {
    if (order.verb === "unblock") blockName(order.name);
    else if (order.verb === "resolve-conflict") parseModuleVersion(order.name);
  } catch {
    return undefined;
  }
  return { item, at, order, taken, ...(answer === undefined ? {} : { answer }) };
}
