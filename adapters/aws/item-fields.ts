import { z } from "zod";
import type { Sha256 } from "../../mirror/body.ts";
import { MirrorError } from "../../mirror/errors.ts";
import { fromItem, type Item, type Plain } from "./attribute-values.ts";
import { type ItemKey, VERSION_PREFIX } from "./ledger-table.ts";

export const count = z.int().min(0);
export const revision = z.int().min(1);
export const sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform((text) => text as Sha256);
export const key = { pk: z.string(), sk: z.string() };
export const due = { due: z.exactOptional(z.int()), dueShard: z.exactOptional(z.string()) };

/** An item's fields by their shape. @throws MirrorError malformed naming the item. */
export function parsed<Shape extends z.ZodType, T>(
  shape: Shape,
  item: Item,
  make: (fields: z.output<Shape>) => T,
): T {
  try {
    const fields: Record<string, Plain> = fromItem(item);
    return make(shape.parse(fields));
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const problem = issue ? [...issue.path, issue.message].join(": ") : (cause as Error).message;
    const name = nameOf(item);
    throw new MirrorError(
      "malformed",
      name,
      `${name}: the ledger's item is not one of this mirror's: ${problem}`,
      { cause },
    );
  }
}

/** The key of an item, as the due index gives it. */
export function parseItemKey(item: Item): ItemKey {
  return { pk: item.pk?.S ?? "", sk: item.sk?.S ?? "" };
}

/** How an item is named in messages: `module#example.com/a version#v1.0.0`. */
function nameOf(item: Item): string {
  const { pk, sk } = parseItemKey(item);
  if (pk.startsWith("module#") && sk.startsWith(VERSION_PREFIX)) {
    return `${pk.slice("module#".length)}@${sk.slice(VERSION_PREFIX.length)}`;
  }
  return `${pk} ${sk}`;
}
