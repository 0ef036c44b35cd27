import { MirrorError, misuse } from "../../mirror/errors.ts";

/**
 * Turns what node:fs throws into the one error that crosses rooms. What a person has to mend is misuse, what the
 * file system cannot hold at all is malformed, all else may heal.
 * @param subject the key, or the path as the user gave it; begins the message.
 */
export function fileError(thrown: unknown, subject: string): MirrorError {
  if (thrown instanceof MirrorError) return thrown;
  const code = codeOf(thrown);
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return transient(
        subject,
        "no space left on the disk (or in the quota); free some and run again",
        thrown,
      );
    case "EMFILE":
    case "ENFILE":
      return transient(subject, "too many open files; raise `ulimit -n` or lower the concurrency", thrown);
    case "EACCES":
    case "EPERM":
      return misuse(subject, `${subject}: not permitted (${code}); give this user the right to it`, thrown);
    case "EROFS":
      return misuse(
        subject,
        `${subject}: on a read-only file system; name a folder that can be written`,
        thrown,
      );
    case "ENAMETOOLONG":
      return new MirrorError("malformed", subject, `${subject}: longer than a file name can be here`, {
        cause: thrown,
      });
    case "ELOOP":
    case "ENOTDIR":
    case "EISDIR":
      return notPlain(subject, thrown);
    default:
      return transient(subject, thrown instanceof Error ? firstLine(thrown.message) : String(thrown), thrown);
  }
}

/** A symbolic link, device, socket or folder where the mirror itself only ever makes plain files and folders. */
export function notPlain(subject: string, cause?: unknown): MirrorError {
  return misuse(
    subject,
    `${subject}: neither a plain file nor a folder of this mirror (a symbolic link?); remove it`,
    cause,
  );
}

/** Why a file that a user named cannot be read, and what to do; without its name. */
export function whyUnread(thrown: unknown): string {
  const code = codeOf(thrown);
  if (code === "ENOENT" || code === "ENOTDIR") return "no such file; check the path";
  if (code === "EISDIR") return "a folder; name a file";
  if (code === "EACCES" || code === "EPERM")
    return "not permitted to read it; give this user the right to it";
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a node:fs error; undefined for anything else. */
export function codeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string"
    ? thrown.code
    : undefined;
}

function transient(subject: string, what: string, cause: unknown): MirrorError {
  return new MirrorError("transient", subject, `${subject}: ${what}`, { cause });
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}
