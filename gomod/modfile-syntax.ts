import type { Position } from "./format-error.ts";
import { decodeUtf8 } from "./go-unicode.ts";
import { ModFileError } from "./modfile-error.ts";
import { Lexer, type Token } from "./modfile-lexer.ts";

/** One line of words in a go.mod or go.work, with the comments that belong to it. */
export interface Line {
  readonly words: readonly string[];
  /** Comments on the lines before, with their slashes; an empty one stands for a blank line. */
  readonly before: readonly string[];
  /** Comments behind the words. */
  readonly suffix: readonly string[];
  readonly position: Position;
}

/** What stands before the parenthesis of a block of lines: `require` of `require ( … )`. */
export type BlockHead = Omit<Line, "suffix">;

/** Takes the statements in the order in which go works on them, each when all its comments are known. */
export interface StatementReader {
  block(head: BlockHead): void;
  line(line: Line, block: BlockHead | undefined): void;
}

/** golang.org/x/mod/zip.MaxGoMod; go.work has no limit in go, and gets the same. */
export const MAX_MOD_FILE_BYTES = 16 * 1024 * 1024;

/**
 * Splits a go.mod or go.work into statements (golang.org/x/mod/modfile, read.go). Nothing but the statement at hand
 * is kept, so that memory stays near the size of the file.
 * @throws ModFileError with one problem at the first syntax error, or where the file is larger than 16 MiB.
 */
export function readStatements(fileName: string, text: string | Uint8Array, reader: StatementReader): void {
  const size = typeof text === "string" ? Buffer.byteLength(text) : text.length;
  if (size > MAX_MOD_FILE_BYTES) {
    const message = `file too large: ${size} bytes (max size is ${MAX_MOD_FILE_BYTES} bytes)`;
    throw new ModFileError(fileName, [{ position: { line: 1 }, message }]);
  }
  const source = typeof text === "string" ? text.toWellFormed() : decodeUtf8(text);
  new Parser(fileName, new Lexer(fileName, source), reader).file();
}

/** A line whose comments may still grow. */
interface OpenLine extends Line {
  readonly suffix: string[];
}

class Parser {
  readonly #fileName: string;
  readonly #lexer: Lexer;
  readonly #reader: StatementReader;
  /**
   * Lines not yet handed on. Go gives a comment behind a line to the last piece of syntax that begins and ends on one
   * line, so behind a line that does not (a string with an escaped line break) it goes to an earlier one.
   */
  #open: { line: OpenLine; block: BlockHead | undefined }[] = [];
  /** The line that gets the next comment; undefined where a parenthesis or a block of comments swallows it. */
  #commented: OpenLine | undefined;

  constructor(fileName: string, lexer: Lexer, reader: StatementReader) {
    this.#fileName = fileName;
    this.#lexer = lexer;
    this.#reader = reader;
  }

  file(): void {
    const lexer = this.#lexer;
    let comments: string[] = [];
    for (;;) {
      const { kind } = lexer.next;
      if (kind === "end") break;
      if (kind === "comment") {
        comments.push(lexer.take().text);
      } else if (kind === "newline") {
        lexer.take();
        if (comments.length > 0) this.#closeLines();
        comments = [];
      } else {
        this.#statement(comments);
        comments = [];
      }
    }
    this.#closeLines();
  }

  #statement(before: readonly string[]): void {
    const lexer = this.#lexer;
    const first = lexer.take();
    const position = lexer.position(first);
    const words = [first.text];
    let { endLine } = first;
    for (;;) {
      const token = lexer.take();
      if (endsLine(token)) {
        this.#addLine({ words, before, suffix: [], position }, undefined, endLine === first.line, token);
        return;
      }
      words.push(token.text);
      if (token.text !== "(") {
        endLine = token.endLine;
      } else if (endsLine(lexer.next)) {
        words.pop();
        this.#block({ words, before, position });
        return;
      } else if (lexer.next.text === ")") {
        const closing = lexer.take();
        if (endsLine(lexer.next)) {
          lexer.take();
          words.pop();
          this.#openBlock({ words, before, position });
          return;
        }
        words.push(closing.text);
      }
    }
  }

  #openBlock(head: BlockHead): void {
    this.#closeLines();
    this.#reader.block(head);
  }

  #block(head: BlockHead): void {
    const lexer = this.#lexer;
    this.#openBlock(head);
    let comments: string[] = [];
    for (let empty = true; ; ) {
      const { kind, text } = lexer.next;
      if (kind === "end") {
        const { line, column } = head.position;
        lexer.fail(`syntax error (unterminated block started at ${this.#fileName}:${line}:${column})`);
      } else if (kind === "lineComment") {
        lexer.take();
      } else if (kind === "comment") {
        comments.push(lexer.take().text);
      } else if (kind === "newline") {
        lexer.take();
        if (comments.length > 0 ? comments.at(-1) !== "" : !empty) comments.push("");
      } else if (text === ")") {
        lexer.take();
        if (!endsLine(lexer.next)) lexer.fail("syntax error (expected newline after closing paren)");
        lexer.take();
        this.#closeLines();
        return;
      } else {
        this.#blockLine(comments, head);
        comments = [];
        empty = false;
      }
    }
  }

  #blockLine(before: readonly string[], block: BlockHead): void {
    const lexer = this.#lexer;
    const first = lexer.take();
    const position = lexer.position(first);
    const words = [first.text];
    let { endLine } = first;
    for (;;) {
      const token = lexer.take();
      if (endsLine(token)) {
        this.#addLine({ words, before, suffix: [], position }, block, endLine === first.line, token);
        return;
      }
      words.push(token.text);
      endLine = token.endLine;
    }
  }

  #addLine(line: OpenLine, block: BlockHead | undefined, onOneLine: boolean, ending: Token): void {
    if (onOneLine) {
      this.#closeLines();
      this.#commented = line;
    }
    this.#open.push({ line, block });
    if (ending.kind === "lineComment") this.#commented?.suffix.push(ending.text);
  }

  #closeLines(): void {
    for (const { line, block } of this.#open) this.#reader.line(line, block);
    this.#open = [];
    this.#commented = undefined;
  }
}

function endsLine(token: Token): boolean {
  return token.kind === "newline" || token.kind === "lineComment" || token.kind === "end";
}
