/**
 * Semantic versions as Go writes them, with a leading `v` (golang.org/x/mod/semver).
 * The functions scan char codes and keep no parsed form: sorting a long list allocates nothing.
 */

const DOT = 46;
const DASH = 45;
const PLUS = 43;
const ZERO = 48;
const NINE = 57;

/** Where the parts of a version end; all -1 when the text is no semantic version. */
interface Parts {
  major: number;
  minor: number;
  patch: number;
  prerelease: number;
  /** True for `v1` and `v1.2`, which stand for v1.0.0 and v1.2.0. */
  short: boolean;
}

// Two work areas, reused by every call: nothing here is re-entrant or asynchronous.
const left: Parts = { major: -1, minor: -1, patch: -1, prerelease: -1, short: false };
const right: Parts = { major: -1, minor: -1, patch: -1, prerelease: -1, short: false };

/** Whether `text` is a semantic version with a leading `v`; `v1` and `v1.2` are (semver.IsValid). */
export function isValidSemver(text: string): boolean {
  return scan(text, left);
}

/** `v1.2` becomes `v1.2.0`, build metadata is cut off; the empty string when `text` is invalid (semver.Canonical). */
export function canonicalSemver(text: string): string {
  if (!scan(text, left)) return "";
  if (left.short) return left.minor === left.major ? `${text}.0.0` : `${text}.0`;
  return left.prerelease === text.length ? text : text.slice(0, left.prerelease);
}

/** `v2` of v2.1.0; the empty string when `text` is invalid (semver.Major). */
export function major(text: string): string {
  return scan(text, left) ? text.slice(0, left.major) : "";
}

/** `v2.1` of v2.1.0, `v2.0` of v2; the empty string when `text` is invalid (semver.MajorMinor). */
export function majorMinor(text: string): string {
  if (!scan(text, left)) return "";
  return left.minor === left.major ? `${text}.0` : text.slice(0, left.minor);
}

/** `-pre` of v2.1.0-pre+meta; the empty string when there is none or `text` is invalid (semver.Prerelease). */
export function prerelease(text: string): string {
  return scan(text, left) ? text.slice(left.patch, left.prerelease) : "";
}

/** `+meta` of v2.1.0-pre+meta; the empty string when there is none or `text` is invalid (semver.Build). */
export function build(text: string): string {
  return scan(text, left) ? text.slice(left.prerelease) : "";
}

/**
 * Semantic precedence: -1, 0 or 1. Invalid text sorts below every version and equal to other invalid text;
 * build metadata does not count (semver.Compare).
 */
export function compareSemver(a: string, b: string): number {
  if (a === b) return 0;
  const validA = scan(a, left);
  const validB = scan(b, right);
  if (!validA || !validB) return Number(validA) - Number(validB);
  return (
    compareDecimal(a, 1, left.major, b, 1, right.major) ||
    compareDecimal(a, left.major + 1, left.minor, b, right.major + 1, right.minor) ||
    compareDecimal(a, left.minor + 1, left.patch, b, right.minor + 1, right.patch) ||
    comparePrerelease(a, left.patch, left.prerelease, b, right.patch, right.prerelease)
  );
}

/** Fills `parts` with the ends of the parts of `text`; an absent minor or patch ends where its neighbour does. */
function scan(text: string, parts: Parts): boolean {
  if (text.charCodeAt(0) !== 118) return false;
  const length = text.length;
  parts.short = true;
  const majorEnd = numberEnd(text, 1);
  if (majorEnd < 0) return false;
  parts.major = parts.minor = parts.patch = parts.prerelease = majorEnd;
  if (majorEnd === length) return true;
  if (text.charCodeAt(majorEnd) !== DOT) return false;
  const minorEnd = numberEnd(text, majorEnd + 1);
  if (minorEnd < 0) return false;
  parts.minor = parts.patch = parts.prerelease = minorEnd;
  if (minorEnd === length) return true;
  if (text.charCodeAt(minorEnd) !== DOT) return false;
  parts.short = false;
  const patchEnd = numberEnd(text, minorEnd + 1);
  if (patchEnd < 0) return false;
  parts.patch = patchEnd;
  let end = patchEnd;
  if (text.charCodeAt(end) === DASH) end = identifiersEnd(text, end + 1, true);
  if (end < 0) return false;
  parts.prerelease = end;
  if (text.charCodeAt(end) === PLUS) end = identifiersEnd(text, end + 1, false);
  return end === length;
}

/** Where the decimal number that begins at `start` ends, or -1: no digit, or a leading zero. */
function numberEnd(text: string, start: number): number {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  if (end === start || (end > start + 1 && text.charCodeAt(start) === ZERO)) return -1;
  return end;
}

/** Where the dot-separated identifiers that begin at `start` end, or -1: an empty one, or a number like 01. */
function identifiersEnd(text: string, start: number, numbersChecked: boolean): number {
  let begin = start;
  let numeric = true;
  for (let at = start; ; at++) {
    const code = text.charCodeAt(at);
    if (isDigit(code)) continue;
    if (isLetter(code) || code === DASH) {
      numeric = false;
      continue;
    }
    if (at === begin) return -1;
    if (numbersChecked && numeric && at - begin > 1 && text.charCodeAt(begin) === ZERO) return -1;
    if (code !== DOT) return at;
    begin = at + 1;
    numeric = true;
  }
}

/** Compares decimal numbers without leading zeros; an absent one (`start` beyond `end`) counts as 0. */
function compareDecimal(
  a: string,
  startA: number,
  endA: number,
  b: string,
  startB: number,
  endB: number,
): number {
  if (startA > endA) return startB > endB || isZero(b, startB, endB) ? 0 : -1;
  if (startB > endB) return isZero(a, startA, endA) ? 0 : 1;
  const longer = endA - startA - (endB - startB);
  return longer !== 0 ? Math.sign(longer) : compareSpans(a, startA, endA, b, startB, endB);
}

function comparePrerelease(
  a: string,
  startA: number,
  endA: number,
  b: string,
  startB: number,
  endB: number,
): number {
  if (startA === endA || startB === endB) return Number(startA === endA) - Number(startB === endB);
  let atA = startA + 1;
  let atB = startB + 1;
  for (;;) {
    const stopA = identifierEnd(a, atA, endA);
    const stopB = identifierEnd(b, atB, endB);
    const numericA = isNumeric(a, atA, stopA);
    const numericB = isNumeric(b, atB, stopB);
    if (numericA !== numericB) return numericA ? -1 : 1;
    const order = numericA
      ? compareDecimal(a, atA, stopA, b, atB, stopB)
      : compareSpans(a, atA, stopA, b, atB, stopB);
    if (order !== 0) return order;
    if (stopA === endA || stopB === endB) return Number(stopB === endB) - Number(stopA === endA);
    atA = stopA + 1;
    atB = stopB + 1;
  }
}

function compareSpans(
  a: string,
  startA: number,
  endA: number,
  b: string,
  startB: number,
  endB: number,
): number {
  const lengthA = endA - startA;
  const lengthB = endB - startB;
  for (let at = 0; at < lengthA && at < lengthB; at++) {
    const difference = a.charCodeAt(startA + at) - b.charCodeAt(startB + at);
    if (difference !== 0) return Math.sign(difference);
  }
  return Math.sign(lengthA - lengthB);
}

function identifierEnd(text: string, start: number, end: number): number {
  let at = start;
  while (at < end && text.charCodeAt(at) !== DOT) at++;
  return at;
}

function isNumeric(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (!isDigit(text.charCodeAt(at))) return false;
  return true;
}

function isZero(text: string, start: number, end: number): boolean {
  return end === start + 1 && text.charCodeAt(start) === ZERO;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

function isLetter(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90);
}
