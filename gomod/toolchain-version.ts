import { isEmptyRange } from "./empty-range.ts";
import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { compareGoVersions, isValidGoVersion } from "./go-version.ts";
import { type ModulePath, modulePath } from "./module-path.ts";
import { type Version, version } from "./version.ts";

/** The module whose versions are Go toolchains (cmd/go/internal/gover: modfetch, toolchain.go). */
export const TOOLCHAIN_MODULE: ModulePath = modulePath("golang.org/toolchain");

/** The platform whose `.info` go asks for a toolchain's version whatever its own is (toolchainRepo.Stat; go 1.26). */
export const STAT_PLATFORM = "linux-amd64";

/** A toolchain for a platform. */
export interface Toolchain {
  /** Without the `go` in front: `1.23.4`, `1.24rc1`. */
  readonly go: string;
  /** GOOS-GOARCH. */
  readonly platform: string;
}

const FORM = /^v0\.0\.1-go([0-9][0-9a-z.]*)\.([a-z0-9]+-[a-z0-9]+)$/;

/** What a version of golang.org/toolchain is; undefined where it is none, such as one that only a newer go understands. */
export function parseToolchainVersion(text: string): Toolchain | undefined {
  const [, go, platform] = FORM.exec(text) ?? [];
  if (go === undefined || platform === undefined || !isValidGoVersion(go)) return undefined;
  return { go, platform };
}

/** `v0.0.1-go1.23.4.linux-amd64` (cmd/go/internal/modfetch, goToDL). @throws FormatError */
export function toolchainVersion({ go, platform }: Toolchain): Version {
  return version(`v0.0.1-go${go}.${platform}`);
}

/** Whether a Go version is a release: no beta, no release candidate, and not the bare `1.21`, a language version. */
export function isGoRelease(go: string): boolean {
  return /^[0-9.]+$/.test(go);
}

/** A set of Go versions. */
export interface GoRange {
  has(go: string): boolean;
}

const LONGEST_RANGE = 256;
const COMPARATOR = /^(>=|<=|>|<|=)?([0-9][0-9a-z.]*)$/;

/**
 * Parses a range of Go versions: comparators (`>=1.22 <1.24`) that must all hold, `||` between alternatives. `1.23`
 * alone is all of that line, `1.23.4` that version, `*` all. Order is Go's own (gover.Compare): 1.24rc1 is below 1.24.0.
 * @throws FormatError naming what cannot be read; and where no version can be in an alternative.
 */
export function parseGoRange(text: string): GoRange {
  if (text.length > LONGEST_RANGE)
    throw new FormatError("range", `Go range: longer than ${LONGEST_RANGE} characters`);
  const alternatives = text.split("||").map((part) => {
    const words = part.split(/[\s,]+/).filter((word) => word !== "");
    if (words.length === 0) throw malformed(text, "an alternative is empty");
    const comparators = words.flatMap((word) => {
      const [, operator, bound = ""] = COMPARATOR.exec(word) ?? [];
      return operator === undefined || !isValidGoVersion(bound) ? [] : [{ operator, bound }];
    });
    if (isEmptyRange(comparators, compareGoVersions))
      throw malformed(text, `no version is in ${quote(part.trim())}`);
    return words.map((word) => parseComparator(word, text));
  });
  return { has: (go) => alternatives.some((tests) => tests.every((test) => test(go))) };
}

function parseComparator(word: string, whole: string): (go: string) => boolean {
  if (word === "*") return () => true;
  const [, operator, bound = ""] = COMPARATOR.exec(word) ?? [];
  if (!isValidGoVersion(bound)) throw malformed(whole, `${quote(word)} is no comparator`);
  switch (operator) {
    case ">=":
      return (go) => compareGoVersions(go, bound) >= 0;
    case ">":
      return (go) => compareGoVersions(go, bound) > 0;
    case "<":
      return (go) => compareGoVersions(go, bound) < 0;
    case "<=":
      return (go) => compareGoVersions(go, bound) <= 0;
    default:
      // `1.23` alone names the whole line, its candidates included; `=1.23` the language version, which is no toolchain.
      return operator === undefined && /^\d+\.\d+$/.test(bound)
        ? (go) => go === bound || new RegExp(`^${bound.replace(".", "\\.")}(\\.|[a-z])`).test(go)
        : (go) => compareGoVersions(go, bound) === 0;
  }
}

function malformed(whole: string, problem: string): FormatError {
  return new FormatError(
    whole,
    `Go range ${quote(whole.slice(0, 100))}: ${problem}; give one such as ">=1.22 <1.24 || 1.25"`,
  );
}
