import { type Plain, toItem } from "./attribute-values.ts";
import { TABLE_KEY } from "./ledger-table.ts";

/** A condition on the stored item; names that begin with `#` stand for the attribute of that name. */
export interface Condition {
  readonly expression: string;
  readonly values?: { readonly [name: `:${string}`]: Plain };
}

/** Only if there is no such item. */
export const isAbsent: Condition = { expression: `attribute_not_exists(${TABLE_KEY.partition})` };

/** A condition as the SDK takes it. Attribute names go through placeholders: many of ours (state, owner, until) are reserved words. */
export function conditionOf({ expression, values }: Condition) {
  const names = Object.fromEntries(
    [...expression.matchAll(/#(\w+)/g)].map(([whole, name]) => [whole, name ?? ""]),
  );
  return {
    ConditionExpression: expression,
    ...(Object.keys(names).length === 0 ? {} : { ExpressionAttributeNames: names }),
    ...(values === undefined ? {} : { ExpressionAttributeValues: toItem(values) }),
  };
}

/** The stored item is the one that was read; revision 0 is one that was never stored. */
export function stillAt(revision: number): Condition {
  if (revision === 0) return isAbsent;
  return { expression: "#revision = :revision", values: { ":revision": revision } };
}

/** Items of a partition whose sort key begins with `prefix`. */
export function below(partition: string, prefix: string): Condition {
  return { expression: "#pk = :pk AND begins_with(#sk, :sk)", values: { ":pk": partition, ":sk": prefix } };
}
