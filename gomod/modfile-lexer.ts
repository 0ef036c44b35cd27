import type { Position } from "./format-error.ts";
import { quoteRune } from "./go-quote.ts";
import { isPrintable } from "./go-unicode.ts";
import { ModFileError } from "./modfile-error.ts";

/**
 * The words of go.mod and go.work files (golang.org/x/mod/modfile, read.go).
 * `comment` stands alone on its line, `lineComment` follows other words; both end their line.
 */
export type TokenKind = "end" | "newline" | "comment" | "lineComment" | "punctuation" | "string" | "word";

export interface Token {
  readonly kind: TokenKind;
  /** As written; comments without their line break, strings with their quotes. */
  readonly text: string;
  /** Line, offset of that line and offset of the token, in UTF-16 units; see `Lexer.position`. */
  readonly line: number;
  readonly lineStart: number;
  readonly start: number;
  /** The line on which the token ends: a string may hold an escaped line break. */
  readonly endLine: number;
}

const NEWLINE = 10;
const BACKSLASH = 92;
const BACKQUOTE = 96;
const BLOCK_COMMENT = "mod files must use // comments (not /* */ comments)";
const punctuation = "()[]{},";
/** The ASCII characters that may stand in a word: what prints, but spaces and punctuation (modfile.isIdent). */
const wordAscii = Uint8Array.from({ length: 128 }, (_, code) =>
  code > 32 && code < 127 && !punctuation.includes(String.fromCharCode(code)) ? 1 : 0,
);

/** Reads tokens with one token of look-ahead, as go does: its errors point behind the token looked at. */
export class Lexer {
  readonly #fileName: string;
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;
  /** Whether a word or string stands before `#at` on its line. */
  #midLine = false;
  #next: Token;

  /** @param text without lone surrogates but those of `decodeUtf8` */
  constructor(fileName: string, text: string) {
    this.#fileName = fileName;
    this.#text = text;
    this.#next = this.#read();
  }

  get next(): Token {
    return this.#next;
  }

  take(): Token {
    const token = this.#next;
    this.#next = this.#read();
    return token;
  }

  /** Where a token begins; go counts columns in characters. */
  position(token: Token): Position {
    return this.#positionOf(token.line, token.lineStart, token.start);
  }

  /** @throws ModFileError with the position behind the token looked at. */
  fail(message: string): never {
    this.#failAt(this.#positionOf(this.#line, this.#lineStart, this.#at), message);
  }

  #failAt(position: Position, message: string): never {
    throw new ModFileError(this.#fileName, [{ position, message }]);
  }

  #read(): Token {
    const text = this.#text;
    let code = text.charCodeAt(this.#at);
    while (code === 32 || code === 9 || code === 13) code = text.charCodeAt(++this.#at);
    const start = this.#at;
    const line = this.#line;
    const lineStart = this.#lineStart;
    let kind: TokenKind = "word";
    if (start >= text.length) {
      kind = "end";
    } else if (code === 47 && text.startsWith("//", start)) {
      kind = this.#midLine ? "lineComment" : "comment";
      return { kind, text: this.#takeComment(start), line, lineStart, start, endLine: line };
    } else if (code === NEWLINE) {
      kind = "newline";
      this.#breakLine(start + 1);
    } else {
      if (punctuation.includes(text.charAt(start))) {
        kind = "punctuation";
        this.#at++;
      } else if (code === 34 || code === BACKQUOTE) {
        kind = "string";
        this.#skipString(code, line, lineStart);
      } else {
        this.#skipWord();
      }
      this.#midLine = true;
    }
    return { kind, text: text.slice(start, this.#at), line, lineStart, start, endLine: this.#line };
  }

  /** Takes a comment and its line break, and gives it without that. */
  #takeComment(start: number): string {
    const found = this.#text.indexOf("\n", start);
    if (found < 0) {
      this.#at = this.#text.length;
      return this.#text.slice(start);
    }
    this.#breakLine(found + 1);
    return this.#text.slice(start, this.#text.charAt(found - 1) === "\r" ? found - 1 : found);
  }

  #skipString(quote: number, line: number, lineStart: number): void {
    const text = this.#text;
    const start = this.#at;
    const unended = () => this.#failAt(this.#positionOf(line, lineStart, start), "unexpected EOF in string");
    for (this.#at++; ; ) {
      const code = text.charCodeAt(this.#at);
      if (this.#at >= text.length) unended();
      if (code === NEWLINE) this.fail("unexpected newline in string");
      this.#at++;
      if (code === quote) return;
      if (code !== BACKSLASH || quote === BACKQUOTE) continue;
      if (this.#at >= text.length) unended();
      // Go takes any character behind a backslash, a line break too; unquoting refuses most of them later.
      if (text.charCodeAt(this.#at) === NEWLINE) this.#breakLine(this.#at + 1);
      else this.#at++;
    }
  }

  #skipWord(): void {
    const text = this.#text;
    const start = this.#at;
    for (;;) {
      const width = wordCharacterWidth(text, this.#at);
      if (width === 0) break;
      if (text.charCodeAt(this.#at) === 47) {
        if (text.startsWith("//", this.#at)) return;
        if (text.startsWith("/*", this.#at)) this.fail(BLOCK_COMMENT);
      }
      this.#at += width;
    }
    if (this.#at === start) {
      this.fail(`unexpected input character ${quoteRune(text.codePointAt(start) ?? 0)}`);
    }
  }

  #breakLine(lineStart: number): void {
    this.#at = this.#lineStart = lineStart;
    this.#line++;
    this.#midLine = false;
  }

  #positionOf(line: number, lineStart: number, at: number): Position {
    let column = 1;
    for (let unit = lineStart; unit < at; unit++) {
      if ((this.#text.codePointAt(unit) ?? 0) > 0xffff) unit++;
      column++;
    }
    return { line, column };
  }
}

/** The UTF-16 length of the character at `at` if it may stand in a word, or 0 (modfile.isIdent). */
function wordCharacterWidth(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code < 0x80) return wordAscii[code] ?? 0;
  const codePoint = text.codePointAt(at);
  if (codePoint === undefined) return 0;
  // A byte that is no UTF-8 reads as U+FFFD in Go, which is printable.
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return 1;
  if (!isPrintable(codePoint)) return 0;
  return codePoint > 0xffff ? 2 : 1;
}
