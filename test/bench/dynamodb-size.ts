import type { AttributeValue } from "@aws-sdk/client-dynamodb";

/** A Scan's or Query's page ends at this many bytes (Amazon DynamoDB, Paginating table query results). */
export const PAGE_BYTES = 1024 * 1024;

/** An item's size as DynamoDB counts it: names and values in UTF-8 (Amazon DynamoDB, item sizes and formats). */
export function dynamoDbSize(item: Readonly<Record<string, AttributeValue>>): number {
  return Object.entries(item).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOf(value),
    0,
  );
}

function sizeOf({ S, N, B, M }: AttributeValue): number {
  if (S !== undefined) return Buffer.byteLength(S);
  if (N !== undefined) return Math.ceil(N.length / 2) + 1;
  if (B !== undefined) return B.byteLength;
  // A map has 3 bytes of its own, and 1 for each of its elements.
  if (M !== undefined) return 3 + dynamoDbSize(M) + Object.keys(M).length;
  return 1;
}
