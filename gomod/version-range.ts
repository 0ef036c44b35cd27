import { isEmptyRange } from "./empty-range.ts";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { canonicalSemver, compareSemver, isValidSemver } from "./semver.ts";

/** A set of versions. */
export interface VersionRange {
  /** As it was written. */
  readonly text: string;
  has(version: string): boolean;
}

/** A range is a line in a configuration: far below this. */
const LONGEST_RANGE = 1024;
const COMPARATOR = /^(>=|<=|>|<|=)?(v\S+)$/;

type Test = (version: string) => boolean;

/**
 * Parses a range: comparators (`>=v1.2.0 <v1.3.0`, separated by spaces or commas) that must all hold; `||` between
 * alternatives. A version alone is that version; `v1` or `v1.2` alone is all of that major or minor version; `*` is
 * all. Order is that of semantic versions, so `<v2.0.0` has v2.0.0-rc.1; build metadata such as `+incompatible` does
 * not count (semver.Compare).
 * @throws FormatError naming what cannot be read; and where no version can be in an alternative.
 */
export function parseVersionRange(text: string): VersionRange {
  if (text.length > LONGEST_RANGE)
    throw new FormatError("range", `version range: longer than ${LONGEST_RANGE} characters`);
  const alternatives = text.split("||").map((part) => parseAll(part, text));
  return { text, has: (version) => alternatives.some((has) => has(version)) };
}

function parseAll(part: string, whole: string): Test {
  const words = part.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 0) throw malformed(whole, "an alternative is empty");
  const comparators = words.flatMap((word) => {
    const [, operator, bound = ""] = COMPARATOR.exec(word) ?? [];
    return operator === undefined || !isValidSemver(bound)
      ? []
      : [{ operator, bound: canonicalSemver(bound) }];
  });
  if (isEmptyRange(comparators, compareSemver))
    throw malformed(whole, `no version is in ${quote(part.trim())}`);
  const tests = words.map((word) => parseComparator(word, whole));
  return (version) => tests.every((has) => has(version));
}

function parseComparator(word: string, whole: string): Test {
  if (word === "*") return () => true;
  const [, operator, bound = ""] = COMPARATOR.exec(word) ?? [];
  if (!isValidSemver(bound)) throw malformed(whole, `${quote(word)} is no comparator`);
  const canonical = canonicalSemver(bound);
  switch (operator) {
    case ">=":
      return (version) => compareSemver(version, canonical) >= 0;
    case ">":
      return (version) => compareSemver(version, canonical) > 0;
    case "<":
      return (version) => compareSemver(version, canonical) < 0;
    case "<=":
      return (version) => compareSemver(version, canonical) <= 0;
    case "=":
      return (version) => compareSemver(version, canonical) === 0;
    default:
      // `v1` stands for v1.0.0 in semver; alone in a range it names the whole line of versions.
      return bound.split(/[-+]/, 1)[0]?.split(".").length === 3
        ? (version) => compareSemver(version, canonical) === 0
        : (version) => version.startsWith(`${bound}.`);
  }
}

function malformed(whole: string, problem: string): FormatError {
  return new FormatError(
    whole,
    `version range ${quote(whole.slice(0, 100))}: ${problem}; give one such as ">=v1.2.0 <v1.3.0 || v2"`,
  );
}
