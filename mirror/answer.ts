import { firstBytes } from "./first-bytes.ts";
import type { StoredObject } from "./ports.ts";
import type { VersionRecord } from "./records.ts";

/** What to answer; the caller turns it into its server's own reply and closes `object`. */
export type Answer =
  | {
      readonly kind: "object";
      readonly object: StoredObject;
      readonly type: string;
      readonly cacheControl: string;
    }
  | { readonly kind: "redirect"; readonly location: string }
  | {
      readonly kind: "text";
      readonly status: 200 | 403 | 404 | 410 | 503;
      readonly text: string;
      /** Content-Type; plain text in UTF-8 where it is absent. */
      readonly type?: string;
      /** Seconds. */
      readonly retryAfter?: number;
    };

/** Of an error's body, go shows this much (cmd/go/internal/web, maxErrorBytes less its `…`). */
const SHOWN_BYTES = 600;

/** A version that a rule or a block keeps out. */
export function refusedText(
  subject: string,
  state: VersionRecord["state"],
  rule = "unknown",
  reason = "not served",
  due?: number,
): Answer {
  const until = state === "HELD" && due !== undefined ? ` until ${new Date(due).toISOString()}` : "";
  const by = state === "BLOCKED" ? "taken out by hand" : `by rule ${rule}`;
  const text = oneLine(`${subject}: ${state}${until} ${by}: ${reason}`);
  return { kind: "text", status: 403, text: `${firstBytes(text, SHOWN_BYTES)}\n` };
}

/** A version of which two sights differ. */
export function conflict(subject: string, record: VersionRecord): Answer {
  const text = `${subject}: CONFLICT: its bytes are not what the checksum database says; not served${reasonOf(record)}\n`;
  return { kind: "text", status: 403, text };
}

export function reasonOf({ lastError }: VersionRecord): string {
  return lastError === undefined ? "" : `: ${oneLine(lastError.message)}`;
}

export function notFound(text: string): Answer {
  return { kind: "text", status: 404, text: `not found: ${oneLine(text)}\n` };
}

/** go shows text without control characters only, and one line is what a person reads (facts: go-client). */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\s]+/gu, " ").slice(0, 500);
}
