import { MirrorError, misuse } from "../../mirror/errors.ts";

/** SQLite's primary result codes (sqlite3.h); node:sqlite gives the extended code, whose low byte they are. */
const READONLY = 8;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

/**
 * Turns what node:sqlite throws into the one error that crosses rooms.
 * @param subject the ledger's path as the user gave it.
 */
export function sqliteError(thrown: unknown, subject: string): MirrorError {
  if (thrown instanceof MirrorError) return thrown;
  const code =
    thrown instanceof Error && "errcode" in thrown && typeof thrown.errcode === "number"
      ? thrown.errcode % 256
      : 0;
  const what = thrown instanceof Error ? (thrown.message.split("\n", 1)[0] ?? "") : String(thrown);
  switch (code) {
    case NOTADB:
      return misuse(subject, `${subject}: not a ledger of modferry (no SQLite database)`, thrown);
    case CORRUPT:
      return new MirrorError("malformed", subject, `${subject}: damaged (${what}); restore it from a copy`, {
        cause: thrown,
      });
    case READONLY:
    case CANTOPEN:
      return misuse(
        subject,
        `${subject}: cannot be opened (${what}); give this user the right to it and its folder`,
        thrown,
      );
    case FULL:
      return new MirrorError(
        "transient",
        subject,
        `${subject}: no space left on the disk; free some and run again`,
        {
          cause: thrown,
        },
      );
    default:
      return new MirrorError("transient", subject, `${subject}: ${what}`, { cause: thrown });
  }
}
