import { FormatError, type Position } from "./format-error.ts";

/** One thing that is wrong in a go.mod or go.work; the message is go's, without file name and position. */
export interface ModFileProblem {
  readonly position: Position;
  readonly message: string;
}

/** How many problems of one file are kept; a hostile file could otherwise hold one on each of 8 million lines. */
export const MAX_PROBLEMS = 1000;

/**
 * All that is wrong in a go.mod or go.work; `message` is what go prints: a line per problem
 * (modfile.ErrorList), with the column only where it is not 1. `position` is that of the first.
 */
export class ModFileError extends FormatError {
  readonly problems: readonly ModFileProblem[];

  constructor(fileName: string, problems: readonly ModFileProblem[]) {
    super(
      fileName,
      problems.map((problem) => formatProblem(fileName, problem)).join("\n"),
      problems[0]?.position,
    );
    this.problems = problems;
  }
}

function formatProblem(fileName: string, { position, message }: ModFileProblem): string {
  const column = position.column ?? 1;
  return `${fileName}:${position.line}:${column > 1 ? `${column}:` : ""} ${message}`;
}

/** Collects problems, as go does: it reads on behind one to report all of them at once. */
export class Problems {
  readonly #found: ModFileProblem[] = [];

  /** Whether no more are kept: what follows need only be read for syntax errors, which go reports alone. */
  get full(): boolean {
    return this.#found.length > MAX_PROBLEMS;
  }

  add(position: Position, message: string): void {
    if (this.full) return;
    const last = this.#found.length === MAX_PROBLEMS;
    this.#found.push({ position, message: last ? "too many errors; the rest is not shown" : message });
  }

  /** @throws ModFileError where there was any problem. */
  throwIfAny(fileName: string): void {
    if (this.#found.length > 0) throw new ModFileError(fileName, this.#found);
  }
}
