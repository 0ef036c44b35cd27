import type { AttributeValue } from "@aws-sdk/client-dynamodb";

/** An item as DynamoDB has it. */
export type Item = Record<string, AttributeValue>;

/** What the ledger's items are made of. */
export type Plain = string | number | boolean | Uint8Array | { readonly [field: string]: Plain | undefined };

/** Fields as attributes; those that are undefined are left out, so that no NULLs are stored. */
export function toItem(fields: { readonly [field: string]: Plain | undefined }): Item {
  const item: Item = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) item[name] = toAttribute(value);
  }
  return item;
}

function toAttribute(value: Plain): AttributeValue {
  if (typeof value === "string") return { S: value };
  if (typeof value === "boolean") return { BOOL: value };
  if (value instanceof Uint8Array) return { B: value };
  if (typeof value === "object") return { M: toItem(value) };
  if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is no whole number that a ledger keeps`);
  return { N: String(value) };
}

/**
 * Attributes as fields, for a schema to check.
 * @throws TypeError naming the attribute, when it is of a type that the ledger does not write.
 */
export function fromItem(item: Item): Record<string, Plain> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, fromAttribute(name, value)]));
}

function fromAttribute(name: string, value: AttributeValue): Plain {
  if (value.S !== undefined) return value.S;
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.B !== undefined) return value.B;
  if (value.M !== undefined) return fromItem(value.M);
  const number = value.N === undefined ? Number.NaN : Number(value.N);
  if (Number.isSafeInteger(number)) return number;
  throw new TypeError(`${name}: not a type of value that a ledger keeps`);
}
