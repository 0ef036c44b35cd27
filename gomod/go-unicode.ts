import { isUtf8 } from "node:buffer";

/**
 * Go's view of text where JavaScript's differs: which characters are spaces, letters and printable,
 * and how bytes that are no UTF-8 are read. go.mod positions, path checks and go's own error lines hang on it.
 */

/**
 * Characters assigned after Unicode 15.0.0, the version that Go 1.21 to 1.26 know (unicode.Version) while Node's
 * tables are newer and differ between Node versions. Made by comparing Node 24 (Unicode 17.0) with Go 1.26;
 * test/gomod/go-unicode.test.ts compares every code point again.
 */
const afterUnicode15 = new RegExp(
  "[\\u088f\\u0897\\u0c5c\\u0cdc\\u1acf-\\u1add\\u1ae0-\\u1aeb\\u1b4e\\u1b4f\\u1b7f\\u1c89\\u1c8a\\u20c1" +
    "\\u2427-\\u2429\\u2b96\\u2ffc-\\u2fff\\u31e4\\u31e5\\u31ef\\ua7cb-\\ua7cf\\ua7d2\\ua7d4\\ua7da-\\ua7dc\\ua7f1" +
    "\\ufbc3-\\ufbd2\\ufd90\\ufd91\\ufdc8-\\ufdce\\u{105c0}-\\u{105f3}\\u{10940}-\\u{10959}\\u{10d40}-\\u{10d65}" +
    "\\u{10d69}-\\u{10d85}\\u{10d8e}\\u{10d8f}\\u{10ec2}-\\u{10ec7}\\u{10ed0}-\\u{10ed8}\\u{10efa}-\\u{10efc}" +
    "\\u{11380}-\\u{11389}\\u{1138b}\\u{1138e}\\u{11390}-\\u{113b5}\\u{113b7}-\\u{113c0}\\u{113c2}\\u{113c5}" +
    "\\u{113c7}-\\u{113ca}\\u{113cc}-\\u{113d5}\\u{113d7}\\u{113d8}\\u{113e1}\\u{113e2}\\u{116d0}-\\u{116e3}" +
    "\\u{11b60}-\\u{11b67}\\u{11bc0}-\\u{11be1}\\u{11bf0}-\\u{11bf9}\\u{11db0}-\\u{11ddb}\\u{11de0}-\\u{11de9}" +
    "\\u{11f5a}\\u{13460}-\\u{143fa}\\u{16100}-\\u{16139}\\u{16d40}-\\u{16d79}\\u{16ea0}-\\u{16eb8}" +
    "\\u{16ebb}-\\u{16ed3}\\u{16ff2}-\\u{16ff6}\\u{187f8}-\\u{187ff}\\u{18cff}\\u{18d09}-\\u{18d1e}" +
    "\\u{18d80}-\\u{18df2}\\u{1cc00}-\\u{1ccfc}\\u{1cd00}-\\u{1ceb3}\\u{1ceba}-\\u{1ced0}\\u{1cee0}-\\u{1cef0}" +
    "\\u{1e5d0}-\\u{1e5fa}\\u{1e5ff}\\u{1e6c0}-\\u{1e6de}\\u{1e6e0}-\\u{1e6f5}\\u{1e6fe}\\u{1e6ff}\\u{1f6d8}" +
    "\\u{1f777}-\\u{1f77a}\\u{1f8b2}-\\u{1f8bb}\\u{1f8c0}\\u{1f8c1}\\u{1f8d0}-\\u{1f8d8}\\u{1fa54}-\\u{1fa57}" +
    "\\u{1fa89}\\u{1fa8a}\\u{1fa8e}\\u{1fa8f}\\u{1fabe}\\u{1fac6}\\u{1fac8}\\u{1facd}\\u{1fadc}\\u{1fadf}" +
    "\\u{1fae9}\\u{1faea}\\u{1faef}\\u{1fbcb}-\\u{1fbef}\\u{1fbfa}\\u{2b73a}-\\u{2b73f}\\u{2cea2}-\\u{2cead}" +
    "\\u{2ebf0}-\\u{2ee5d}\\u{323b0}-\\u{33479}]",
  "u",
);
const letter = /\p{L}/u;
const printable = /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u;

/** Whether Go takes the code point for a letter (unicode.IsLetter). */
export function isLetter(codePoint: number): boolean {
  if (codePoint < 0x80) return (codePoint | 0x20) >= 97 && (codePoint | 0x20) <= 122;
  const character = String.fromCodePoint(codePoint);
  return letter.test(character) && !afterUnicode15.test(character);
}

/** Whether Go takes the code point for printable (unicode.IsPrint): of the spaces only U+0020 is. */
export function isPrintable(codePoint: number): boolean {
  if (codePoint < 0x7f) return codePoint >= 0x20;
  const character = String.fromCodePoint(codePoint);
  return printable.test(character) && !afterUnicode15.test(character);
}

/** Whether Go takes the UTF-16 unit for a space (unicode.IsSpace; all of Go's spaces are single units). */
export function isSpace(unit: number): boolean {
  if (unit < 0x80) return unit === 32 || (unit >= 9 && unit <= 13);
  return (
    unit === 0x85 ||
    unit === 0xa0 ||
    unit === 0x1680 ||
    (unit >= 0x2000 && unit <= 0x200a) ||
    unit === 0x2028 ||
    unit === 0x2029 ||
    unit === 0x202f ||
    unit === 0x205f ||
    unit === 0x3000
  );
}

/** Cuts Go's spaces off both ends (strings.TrimSpace; JavaScript's trim takes U+FEFF too, and leaves U+0085). */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** The words between Go's spaces (strings.Fields). */
export function fields(text: string): string[] {
  const words: string[] = [];
  let start = -1;
  for (let at = 0; at <= text.length; at++) {
    if (at < text.length && !isSpace(text.charCodeAt(at))) {
      if (start < 0) start = at;
    } else if (start >= 0) {
      words.push(text.slice(start, at));
      start = -1;
    }
  }
  return words;
}

/**
 * Text of bytes that ought to be UTF-8. A byte that is not becomes the lone surrogate U+DC00 + byte, one for one,
 * so that nothing is lost, positions count as Go counts them, and no check for valid UTF-8 passes it.
 * A byte order mark stays: Go does not skip it either.
 */
export function decodeUtf8(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString("utf8");
  const units = new Uint16Array(buffer.length);
  let length = 0;
  for (let at = 0; at < buffer.length; ) {
    const first = buffer[at] ?? 0;
    const width = sequenceLength(buffer, at, first);
    let codePoint = width === 1 ? first : first & (0x7f >> width);
    for (let offset = 1; offset < width; offset++) {
      codePoint = (codePoint << 6) | ((buffer[at + offset] ?? 0) & 0x3f);
    }
    if (width === 0) {
      units[length++] = 0xdc00 + first;
    } else if (codePoint > 0xffff) {
      units[length++] = 0xd7c0 + (codePoint >> 10);
      units[length++] = 0xdc00 + (codePoint & 0x3ff);
    } else {
      units[length++] = codePoint;
    }
    at += width || 1;
  }
  return Buffer.from(units.buffer, 0, length * 2).toString("utf16le");
}

/** The length of the UTF-8 sequence at `at`, or 0 where Go reads one byte as an error (utf8.DecodeRune). */
function sequenceLength(buffer: Buffer, at: number, first: number): number {
  if (first < 0x80) return 1;
  const second = buffer[at + 1] ?? 0;
  if (!isContinuation(second)) return 0;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) {
    // Neither overlong nor a surrogate.
    if ((first === 0xe0 && second < 0xa0) || (first === 0xed && second > 0x9f)) return 0;
    return isContinuation(buffer[at + 2] ?? 0) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first === 0xf0 && second < 0x90) || (first === 0xf4 && second > 0x8f)) return 0;
    return isContinuation(buffer[at + 2] ?? 0) && isContinuation(buffer[at + 3] ?? 0) ? 4 : 0;
  }
  return 0;
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80;
}
