import { quote } from "./go-quote.ts";
import { checkFilePath, fileNameProblem } from "./module-path.ts";
import { malformedEntry } from "./zip-directory.ts";

const upperCase = /[A-Z]/;
const beyondAscii = /[^\0-\x7f]/;
/** Most names: nothing but what no rule minds, so that the rules need not be asked. */
const plainName = /^(?!(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\.|$))[\w.-]*[\w-]$/i;
/** Folds to itself, though its upper case is `I`: only Turkish takes it for an i. */
const DOTLESS_I = "\u0131";

/**
 * The paths in a module seen so far, so that no two collide where case does not count and nothing is both file and
 * directory (x/mod/zip, collisionChecker). Keeps which directories are good, so each is checked once.
 */
export class ModuleNames {
  /** Each path by its folded form. */
  readonly #paths = new Map<string, string>();
  readonly #directories = new Set<string>();
  /** Directories that collide, or lie below one that does; empty but in `collision` after a problem. */
  readonly #colliding = new Set<string>();

  /**
   * Checks one path, relative to the module's root and without a trailing slash, and all directories above it.
   * @param entryName how the zip names it, for the message.
   * @throws FormatError for what module.CheckFilePath refuses, and for collisions.
   */
  add(path: string, isDirectory: boolean, entryName: string): void {
    const slash = path.lastIndexOf("/");
    const isParentGood = slash >= 0 && this.#directories.has(path.slice(0, slash));
    const name = path.slice(slash + 1);
    if (!isParentGood || !plainName.test(name)) {
      const problem = isParentGood ? fileNameProblem(name) : filePathProblem(path);
      if (problem !== undefined) throw malformedEntry(entryName, problem);
    }
    const collision = this.collision(path, isDirectory);
    if (collision !== undefined) throw malformedEntry(entryName, collision);
  }

  /** The first collision of this path or a directory above it, in Go's words; the path counts as seen all the same. */
  collision(path: string, isDirectory: boolean): string | undefined {
    let problem = this.#register(path, isDirectory);
    let slash = path.lastIndexOf("/");
    for (; slash >= 0 && problem === undefined; slash = path.lastIndexOf("/", slash - 1)) {
      const parent = path.slice(0, slash);
      if (this.#directories.has(parent) && !this.#colliding.has(parent)) return undefined;
      problem = this.#register(parent, true);
      if (problem !== undefined) this.#noteColliding(path, slash);
    }
    return problem;
  }

  /** Whatever lies below a directory that collides collides too. */
  #noteColliding(path: string, from: number): void {
    this.#colliding.add(path);
    for (let end = path.indexOf("/", from); end >= 0; end = path.indexOf("/", end + 1)) {
      this.#colliding.add(path.slice(0, end));
    }
  }

  #register(path: string, isDirectory: boolean): string | undefined {
    const folded = foldCase(path);
    const other = this.#paths.get(folded);
    if (other === undefined) {
      this.#paths.set(folded, path);
      if (isDirectory) this.#directories.add(path);
    } else if (other !== path) {
      return `case-insensitive file name collision: ${quote(other)} and ${quote(path)}`;
    } else if (isDirectory !== this.#directories.has(path)) {
      return `entry ${quote(path)} is both a file and a directory`;
    } else if (!isDirectory) {
      return `multiple entries for file ${quote(path)}`;
    }
    return undefined;
  }
}

/**
 * A form that two texts share if and only if Go's strings.EqualFold holds them equal (x/mod/zip, strToFold):
 * Unicode's simple case folding, which never changes how many characters there are.
 */
export function foldCase(text: string): string {
  if (!beyondAscii.test(text)) return upperCase.test(text) ? text.toLowerCase() : text;
  let folded = "";
  for (const character of text) folded += foldCharacter(character);
  return folded;
}

function foldCharacter(character: string): string {
  if (character === DOTLESS_I) return character;
  const upper = character.toUpperCase();
  const single = isOneCharacter(upper) ? upper : character;
  const lower = single.toLowerCase();
  return isOneCharacter(lower) ? lower : single;
}

function isOneCharacter(text: string): boolean {
  return text.length === 1 || (text.length === 2 && (text.codePointAt(0) ?? 0) > 0xffff);
}

function filePathProblem(path: string): string | undefined {
  try {
    checkFilePath(path);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
