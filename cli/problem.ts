import { asMirrorError } from "../mirror/errors.ts";
import type { LogEntry } from "../mirror/log-line.ts";
import { type Output, oneLine } from "./output.ts";

/** What a verb could not do and goes on without. */
export interface Problem {
  /** As in the logs of the deployed functions, where they have the same (functions/plan.ts). */
  readonly action: string;
  /** A constant sentence, for a log. */
  readonly message: string;
  /** A MirrorError, or why it is not, in words. */
  readonly thrown: unknown;
  /** What stands before the error's own message in a line for people, such as `feed poll`. */
  readonly prefix?: string;
  readonly labels?: NonNullable<LogEntry["labels"]>;
}

/** Tells a problem: one line for people, or one of the log. */
export function sayProblem(
  output: Output,
  { action, message: sentence, thrown, prefix, labels }: Problem,
): void {
  const { class: type, message } = asMirrorError(thrown, action);
  const text = typeof thrown === "string" ? thrown : message;
  if (output.log === undefined)
    output.error(`modferry: ${oneLine(prefix === undefined ? text : `${prefix}: ${text}`)}`);
  else
    output.log({
      level: "error",
      action,
      message: sentence,
      error: { type, message: text },
      ...(labels && { labels }),
    });
}
