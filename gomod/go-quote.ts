import { decodeUtf8, isPrintable } from "./go-unicode.ts";

/** Go's quoted form of text and of single characters, as its error lines print them and go.mod files hold them. */

const named = new Map([
  [7, "\\a"],
  [8, "\\b"],
  [12, "\\f"],
  [10, "\\n"],
  [13, "\\r"],
  [9, "\\t"],
  [11, "\\v"],
  [92, "\\\\"],
]);
const meanings = new Map([...named].map(([code, name]) => [name.charAt(1), code]));
meanings.set('"', 34);

/** The text in double quotes with Go's escapes, as `%q` prints it (strconv.Quote). */
export function quote(text: string): string {
  let quoted = '"';
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code === 34) quoted += '\\"';
    else if (code >= 0xdc80 && code <= 0xdcff) quoted += `\\x${(code - 0xdc00).toString(16)}`;
    else quoted += escaped(code);
  }
  return `${quoted}"`;
}

/** The character in single quotes, as `%q` prints it (strconv.QuoteRune). */
export function quoteRune(codePoint: number): string {
  if (codePoint === 39) return "'\\''";
  return `'${escaped(codePoint >= 0xd800 && codePoint <= 0xdfff ? 0xfffd : codePoint)}'`;
}

function escaped(code: number): string {
  const name = named.get(code);
  if (name !== undefined) return name;
  if (code >= 0xd800 && code <= 0xdfff) return "\\ufffd";
  if (isPrintable(code)) return String.fromCodePoint(code);
  if (code < 32 || code === 127) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/**
 * The text that a double-quoted Go string stands for, or undefined where Go answers "invalid syntax" (strconv.Unquote).
 * Escapes that name bytes (`\xff`, `\377`) make bytes; bytes that are no UTF-8 come back as in `decodeUtf8`.
 */
export function unquote(quoted: string): string | undefined {
  if (quoted.length < 2 || !quoted.startsWith('"') || !quoted.endsWith('"')) return undefined;
  const inner = quoted.slice(1, -1);
  if (inner.includes("\n")) return undefined;
  if (!inner.includes("\\")) return inner.includes('"') ? undefined : inner.toWellFormed();
  // No escape is shorter than what it stands for.
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(inner));
  let length = 0;
  let start = 0;
  for (let at = 0; at < inner.length; ) {
    const code = inner.charCodeAt(at);
    if (code === 34) return undefined;
    if (code !== 92) {
      at++;
      continue;
    }
    if (at > start) length += bytes.write(inner.slice(start, at), length);
    const escaping = readEscape(inner, at + 1);
    if (escaping === undefined) return undefined;
    if (escaping.byte) bytes[length++] = escaping.code;
    else length += bytes.write(String.fromCodePoint(escaping.code), length);
    start = at = escaping.end;
  }
  length += bytes.write(inner.slice(start), length);
  return decodeUtf8(bytes.subarray(0, length));
}

interface Escape {
  readonly code: number;
  /** Whether `code` is one byte of the text, and not a character. */
  readonly byte: boolean;
  readonly end: number;
}

/** Reads what follows a backslash at `at`. */
function readEscape(text: string, at: number): Escape | undefined {
  const letter = text.charAt(at);
  const meaning = meanings.get(letter);
  if (meaning !== undefined) return { code: meaning, byte: true, end: at + 1 };
  if (letter === "x") return readDigits(text, at + 1, 2, 16);
  if (letter >= "0" && letter <= "7") return readDigits(text, at, 3, 8);
  if (letter === "u") return readDigits(text, at + 1, 4, 16);
  return letter === "U" ? readDigits(text, at + 1, 8, 16) : undefined;
}

/** Reads digits: two hexadecimal or three octal ones name a byte, more a character. */
function readDigits(text: string, start: number, count: number, radix: 8 | 16): Escape | undefined {
  const end = start + count;
  const digits = text.slice(start, end);
  if (digits.length < count || !(radix === 8 ? /^[0-7]+$/ : /^[0-9a-fA-F]+$/).test(digits)) return undefined;
  const code = Number.parseInt(digits, radix);
  const byte = count < 4;
  if (byte ? code > 255 : code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
  return { code, byte, end };
}
