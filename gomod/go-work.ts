import {
  DirectiveError,
  type Godebug,
  parseGodebugLine,
  parseGoLine,
  parseOneString,
  parseReplaceLine,
  parseToolchainLine,
  type Replace,
} from "./modfile-directive.ts";
import { Problems } from "./modfile-error.ts";
import { readStatements } from "./modfile-syntax.ts";

/** What a go.work file says. */
export interface GoWork {
  readonly go?: string;
  readonly toolchain?: string;
  /** Directories of modules, as written: relative to the go.work, or rooted. */
  readonly use: readonly { readonly path: string }[];
  readonly replace: readonly Replace[];
  readonly godebug: readonly Godebug[];
}

interface Builder {
  go?: string;
  toolchain?: string;
  use: { path: string }[];
  replace: Replace[];
  godebug: Godebug[];
}

const blockVerbs = new Set(["godebug", "use", "replace"]);

/**
 * Parses a go.work (modfile.ParseWork without a fixer).
 * @throws ModFileError with all problems; its message is what go prints.
 */
export function parseGoWork(fileName: string, text: string | Uint8Array): GoWork {
  const problems = new Problems();
  const goWork: Builder = { use: [], replace: [], godebug: [] };
  readStatements(fileName, text, {
    block({ words, position }) {
      const known = words.length === 1 && blockVerbs.has(words[0] ?? "");
      if (!known) problems.add(position, `unknown block type: ${words.join(" ")}`);
    },
    line(line, block) {
      if (problems.full) return;
      if (block !== undefined && (block.words.length > 1 || !blockVerbs.has(block.words[0] ?? ""))) return;
      const [verb = "", ...words] = block === undefined ? line.words : [...block.words, ...line.words];
      try {
        addDirective(goWork, verb, words);
      } catch (error) {
        if (!(error instanceof DirectiveError)) throw error;
        problems.add(line.position, error.message);
      }
    },
  });
  problems.throwIfAny(fileName);
  return goWork;
}

/** @throws DirectiveError where the line is wrong. */
function addDirective(goWork: Builder, verb: string, words: readonly string[]): void {
  switch (verb) {
    case "go":
      goWork.go = parseGoLine(goWork.go !== undefined, words, false);
      return;
    case "toolchain":
      goWork.toolchain = parseToolchainLine(goWork.toolchain !== undefined, words);
      return;
    case "use":
      goWork.use.push({ path: parseOneString(words, "usage: use local/dir") });
      return;
    case "replace":
      goWork.replace.push(parseReplaceLine(words));
      return;
    case "godebug":
      goWork.godebug.push(parseGodebugLine(words));
      return;
    default:
      throw new DirectiveError(`unknown directive: ${verb}`);
  }
}
