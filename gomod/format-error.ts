/** Where in a text file something is wrong; both count from 1, `column` in characters as Go's modfile prints it. */
export interface Position {
  readonly line: number;
  readonly column?: number;
}

/**
 * Text or bytes that Go's rules do not accept. Thrown by every parser of gomod/ and sumdb/;
 * `mirror/` turns it into the class `malformed` (from an upstream) or `misuse` (from a user).
 */
export class FormatError extends Error {
  override readonly name = "FormatError";
  /** What was parsed: a path, a version, a file's name. Attacker-controlled: quote it before printing. */
  readonly subject: string;
  readonly position: Position | undefined;

  constructor(subject: string, message: string, position?: Position) {
    super(message);
    this.subject = subject;
    this.position = position;
  }
}
