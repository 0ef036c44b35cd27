import { escapeObeyed } from "../mirror/json-line.ts";

export { jsonLine } from "../mirror/json-line.ts";

/** A file's name as it is, or as a JSON string where it would not stay one line of plain text. */
export function shownName(name: string): string {
  return /[\p{Cc}\p{Cf}\u2028\u2029]/u.test(name) ? escapeObeyed(JSON.stringify(name)) : name;
}
