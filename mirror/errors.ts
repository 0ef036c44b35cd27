import { FormatError } from "../gomod/format-error.ts";
import { ForkError, ProofError } from "../sumdb/proof-error.ts";

/** What kind of trouble it is, and so what happens next (docs/architecture.md, Errors). A closed union. */
export const ERROR_CLASSES = [
  "transient",
  "unauthorized",
  "withheld",
  "malformed",
  "absent",
  "mismatch",
  "stopped",
  "denied",
  "misuse",
] as const;
export type ErrorClass = (typeof ERROR_CLASSES)[number];

export interface MirrorErrorOptions {
  readonly cause?: unknown;
  /** How long the other side asked us to wait (Retry-After), in milliseconds; kept as a whole number, rounded up. */
  readonly retryAfter?: number;
  /** The fault is its host's: whatever else is asked of that now would fare alike, so that it speaks against no version. */
  readonly ofHost?: boolean;
  /** The raw reply, at most EVIDENCE_LIMIT bytes, for the vault. Attacker-controlled. */
  readonly evidence?: Uint8Array;
}

/** How much of a bad reply is kept: the first 64 KB (docs/architecture.md, Errors). */
export const EVIDENCE_LIMIT = 64 * 1024;

/**
 * The one error that crosses rooms: SDK, network and parser errors are turned into it where they enter.
 * `message` is one line that says what is wrong with which module, version, file or field, and what to do.
 */
export class MirrorError extends Error {
  override readonly name = "MirrorError";
  readonly class: ErrorClass;
  /** `module@version`, a file of it, a flag or a field. */
  readonly subject: string;
  readonly retryAfter: number | undefined;
  readonly ofHost: boolean;
  readonly evidence: Uint8Array | undefined;

  constructor(errorClass: ErrorClass, subject: string, message: string, options: MirrorErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.class = errorClass;
    this.subject = subject;
    this.retryAfter = options.retryAfter === undefined ? undefined : Math.ceil(options.retryAfter);
    this.ofHost = options.ofHost ?? false;
    this.evidence = options.evidence?.subarray(0, EVIDENCE_LIMIT);
  }
}

/** A user's mistake in a flag, a wish, a file or the configuration: one line, exit 2. */
export function misuse(subject: string, message: string, cause?: unknown): MirrorError {
  return new MirrorError("misuse", subject, message, { cause });
}

/**
 * Makes any thrown value a MirrorError about `subject`; what no adapter has classed is transient,
 * since only a retry can show whether it heals, and a programming error must not mark a version for good.
 */
export function asMirrorError(thrown: unknown, subject: string): MirrorError {
  if (thrown instanceof MirrorError) return thrown;
  if (thrown instanceof FormatError) {
    return new MirrorError("malformed", subject, about(subject, thrown.message), { cause: thrown });
  }
  if (thrown instanceof ForkError) {
    const evidence = Buffer.concat([thrown.older, thrown.newer]);
    return new MirrorError("mismatch", subject, about(subject, thrown.message), { cause: thrown, evidence });
  }
  if (thrown instanceof ProofError) {
    // A record that is not the database's convicts this version; damaged tiles or notes convict only the reply.
    const errorClass = thrown.fault === "record" ? "mismatch" : "malformed";
    return new MirrorError(errorClass, subject, `${subject}: checksum database: ${thrown.message}`, {
      cause: thrown,
    });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new MirrorError("transient", subject, about(subject, message), { cause: thrown });
}

/**
 * A message with its subject in front, once: go's own begin with the file's name (`go.mod:3: …`), and where the subject
 * is `path@version`, with `module path: …`, which then says nothing more.
 */
export function about(subject: string, message: string): string {
  const rest = message.startsWith(subject) ? message.slice(subject.length) : undefined;
  if (rest !== undefined && /^[: ]/.test(rest)) return message;
  const module = `module ${subject.slice(0, Math.max(0, subject.lastIndexOf("@")))}: `;
  return `${subject}: ${message.startsWith(module) ? message.slice(module.length) : message}`;
}
