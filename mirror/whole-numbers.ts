import { misuse } from "./errors.ts";

/**
 * What a record holds of numbers (times in ms, sizes, counts) is whole: a ledger that took other ones would give them to
 * one that does not.
 * @throws MirrorError misuse naming the field, for every ledger alike.
 */
export function requireWholeNumbers(subject: string, fields: object): void {
  for (const [field, value] of Object.entries(fields) as [string, unknown][]) {
    if (typeof value === "object" && value !== null) requireWholeNumbers(subject, value);
    else if (typeof value === "number" && !Number.isSafeInteger(value))
      throw misuse(
        subject,
        `${subject}: ${field}: ${value} is no whole number, and a ledger keeps no other; report it`,
      );
  }
}
