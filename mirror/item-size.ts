import { misuse } from "./errors.ts";
import { LARGEST_ITEM, type LedgerItem } from "./ledger-entries.ts";

/** A ledger item's value as JSON. @throws MirrorError misuse above LARGEST_ITEM bytes, for every ledger alike. */
export function printItemValue({ kind, name, value }: LedgerItem): string {
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes <= LARGEST_ITEM) return text;
  throw misuse(
    name,
    `${kind} ${name}: ${bytes} bytes, and the ledger takes ${LARGEST_ITEM}; use shorter text`,
  );
}
