import { quote } from "./go-quote.ts";
import { fields } from "./go-unicode.ts";
import {
  commentText,
  DirectiveError,
  type Godebug,
  parseGodebugLine,
  parseGoLine,
  parseOneString,
  parsePathAndVersion,
  parseReplaceLine,
  parseToolchainLine,
  type Replace,
  readUnfixedVersion,
} from "./modfile-directive.ts";
import { Problems } from "./modfile-error.ts";
import { type BlockHead, type Line, readStatements } from "./modfile-syntax.ts";

export type { Godebug, Replace } from "./modfile-directive.ts";
export { ModFileError, type ModFileProblem } from "./modfile-error.ts";

/**
 * What a go.mod file says. Versions are canonical but in `retract`; paths are text, as go itself leaves them:
 * check with `modulePath` or `moduleVersion` before use in a key or URL.
 */
export interface GoMod {
  readonly module?: { readonly path: string; readonly deprecated?: string };
  /** The go line's version, such as `1.21.0`; see `goVersionOf` for its default. */
  readonly go?: string;
  readonly toolchain?: string;
  readonly require: readonly Requirement[];
  readonly exclude: readonly { readonly path: string; readonly version: string }[];
  readonly replace: readonly Replace[];
  readonly retract: readonly Retraction[];
  readonly tool: readonly string[];
  readonly ignore: readonly string[];
  readonly godebug: readonly Godebug[];
  /** Set where the file's bytes are `isLegacyGoMod` of the path that it declares. */
  readonly isLegacy?: true;
}

export interface Requirement {
  readonly path: string;
  readonly version: string;
  /** Whether the line says `// indirect`. */
  readonly indirect: boolean;
}

/** The versions from `low` to `high`, both included; as written, not canonical. */
export interface Retraction {
  readonly low: string;
  readonly high: string;
  readonly rationale: string;
}

/** The only directives that count in a dependency; the others are for the main module, or of a newer go. */
const laxVerbs = new Set(["go", "module", "retract", "require", "ignore"]);
const blockVerbs = new Set([
  "module",
  "godebug",
  "require",
  "exclude",
  "replace",
  "retract",
  "tool",
  "ignore",
]);
const deprecation = /(?:^|\n\n)Deprecated: *([\s\S]*?)(?:$|\n\n)/;

/**
 * Parses a go.mod: `strict` as that of a main module (modfile.Parse), `lax` as that of a dependency
 * (modfile.ParseLax: unknown directives, replace, exclude, toolchain, tool and godebug are passed over).
 * Both without a fixer, as go reads a downloaded file: `master` in a require is an error.
 * @param fileName what go would call the file in its errors
 * @throws ModFileError with all problems; its message is what go prints.
 */
export function parseGoMod(fileName: string, text: string | Uint8Array, mode: "strict" | "lax"): GoMod {
  const lax = mode === "lax";
  const problems = new Problems();
  const parsed = new GoModBuilder(lax);
  readStatements(fileName, text, {
    block(head) {
      const known = head.words.length === 1 && blockVerbs.has(head.words[0] ?? "");
      if (!known && !lax) problems.add(head.position, `unknown block type: ${head.words.join(" ")}`);
    },
    line(line, block) {
      if (problems.full) return;
      if (block !== undefined && (block.words.length > 1 || !blockVerbs.has(block.words[0] ?? ""))) return;
      const [verb = "", ...words] = block === undefined ? line.words : [...block.words, ...line.words];
      if (lax && !laxVerbs.has(verb)) return;
      try {
        parsed.add(verb, words, line, block);
      } catch (error) {
        if (!(error instanceof DirectiveError)) throw error;
        problems.add(line.position, error.message);
      }
    },
  });
  problems.throwIfAny(fileName);
  const { goMod } = parsed;
  return isLegacyGoMod(goMod.module?.path ?? "", text) ? { ...goMod, isLegacy: true } : goMod;
}

/**
 * Whether a module's go.mod is byte for byte what cmd/go makes up for a module without one (modload.versionHasGoMod,
 * modfetch.LegacyGoMod): a comment, a blank line, or no newline at the end, and the file is the module's own.
 * @param path of no characters that go.mod would quote: a module path has none.
 */
export function isLegacyGoMod(path: string, text: string | Uint8Array): boolean {
  const legacy = `module ${path}\n`;
  return typeof text === "string" ? text === legacy : Buffer.from(legacy).equals(text);
}

class GoModBuilder {
  readonly #lax: boolean;
  readonly goMod: { -readonly [Field in keyof GoMod]: GoMod[Field] } & {
    require: Requirement[];
    exclude: { path: string; version: string }[];
    replace: Replace[];
    retract: Retraction[];
    tool: string[];
    ignore: string[];
    godebug: Godebug[];
  } = { require: [], exclude: [], replace: [], retract: [], tool: [], ignore: [], godebug: [] };

  constructor(lax: boolean) {
    this.#lax = lax;
  }

  /** @throws DirectiveError where the line is wrong. */
  add(verb: string, words: readonly string[], line: Line, block: BlockHead | undefined): void {
    const { goMod } = this;
    switch (verb) {
      case "module":
        this.#addModule(words, commentText(line, block));
        return;
      case "go":
        goMod.go = parseGoLine(goMod.go !== undefined, words, this.#lax);
        return;
      case "toolchain":
        goMod.toolchain = parseToolchainLine(goMod.toolchain !== undefined, words);
        return;
      case "require":
        goMod.require.push({ ...parsePathAndVersion(verb, words), indirect: isIndirect(line.suffix[0]) });
        return;
      case "exclude":
        goMod.exclude.push(parsePathAndVersion(verb, words));
        return;
      case "replace":
        goMod.replace.push(parseReplaceLine(words));
        return;
      case "retract":
        this.#addRetraction(words, commentText(line, block));
        return;
      case "tool":
      case "ignore":
        goMod[verb].push(parseOneString(words, `${verb} directive expects exactly one argument`));
        return;
      case "godebug":
        goMod.godebug.push(parseGodebugLine(words));
        return;
      default:
        throw new DirectiveError(`unknown directive: ${verb}`);
    }
  }

  #addModule(words: readonly string[], comments: string): void {
    if (this.goMod.module !== undefined) throw new DirectiveError("repeated module statement");
    const deprecated = deprecation.exec(comments)?.[1] ?? "";
    const described = (path: string) => (deprecated === "" ? { path } : { path, deprecated });
    // A wrong module line counts as one too: a second one is then reported as repeated.
    this.goMod.module = described("");
    this.goMod.module = described(parseOneString(words, "usage: module module/path"));
  }

  /** In a dependency what cannot be read is passed over: go may learn open intervals one day. */
  #addRetraction(words: readonly string[], rationale: string): void {
    const interval = parseInterval(words);
    let { problem } = interval;
    if (problem === undefined && interval.rest !== undefined) {
      problem = this.#lax ? undefined : `unexpected token after version: ${quote(interval.rest)}`;
    }
    if (problem === undefined) this.goMod.retract.push({ low: interval.low, high: interval.high, rationale });
    else if (!this.#lax) throw new DirectiveError(problem);
  }
}

interface Interval {
  readonly low: string;
  readonly high: string;
  /** The first word behind the interval. */
  readonly rest?: string | undefined;
  /** What is wrong; returned, not thrown, since a dependency may have millions of such lines at no harm. */
  readonly problem?: string;
}

/** Reads `v1.0.0` or `[v1.0.0, v1.2.0]` (modfile.parseVersionInterval). */
function parseInterval(words: readonly string[]): Interval {
  const wrong = (problem: string): Interval => ({ low: "", high: "", problem });
  const [first, lowWord, comma, highWord, bracket, rest] = words;
  if (first === undefined || first === "(") return wrong("expected '[' or version");
  if (first !== "[") {
    const { value, problem } = readUnfixedVersion("retract", "", first);
    return problem === undefined ? { low: value, high: value, rest: lowWord } : wrong(problem);
  }
  if (lowWord === undefined) return wrong("expected version after '['");
  const low = readUnfixedVersion("retract", "", lowWord);
  if (low.problem !== undefined) return wrong(low.problem);
  if (comma !== ",") return wrong("expected ',' after version");
  if (highWord === undefined) return wrong("expected version after ','");
  const high = readUnfixedVersion("retract", "", highWord);
  if (high.problem !== undefined) return wrong(high.problem);
  return bracket === "]" ? { low: low.value, high: high.value, rest } : wrong("expected ']' after version");
}

/** Whether the first comment behind a requirement is `// indirect` or begins `// indirect;` (modfile.isIndirect). */
function isIndirect(comment: string | undefined): boolean {
  if (comment === undefined) return false;
  const [first, second] = fields(comment.slice(2));
  return second === undefined ? first === "indirect" : first === "indirect;";
}
