import type { GoMod } from "./go-mod.ts";

/**
 * Versions of the Go language and toolchain, as a go line names them: 1.21 < 1.21rc1 < 1.21.0
 * (internal/gover). They are no semantic versions.
 */
interface Parts {
  readonly major: string;
  readonly minor: string;
  readonly patch: string;
  /** `alpha`, `beta`, `rc` or another word. */
  readonly kind: string;
  readonly pre: string;
}

/** Since this go line a module's graph is pruned (gover.ExplicitIndirectVersion). */
export const prunedSince = "1.17";
/** What a go.mod without a go line counts as (gover.DefaultGoModVersion). */
const DEFAULT_GO_MOD_VERSION = "1.16";
/** Since this minor version `1.N` is older than `1.N.0`; before it they are the same. */
const FIRST_STRICT_MINOR = "21";

const number = "(0|[1-9][0-9]*)";
const form = new RegExp(`^${number}(?:\\.${number}(?:\\.${number}|([a-z]+)${number}?)?)?$`);

/** Whether `text` is a Go version, such as 1.21, 1.21rc2 or 1.21.3; without the `go` prefix (gover.IsValid). */
export function isValidGoVersion(text: string): boolean {
  return parse(text) !== undefined;
}

/** -1, 0 or 1; malformed ones are below all others and equal to each other (gover.Compare). */
export function compareGoVersions(a: string, b: string): number {
  const partsA = parse(a);
  const partsB = parse(b);
  if (partsA === undefined || partsB === undefined)
    return Number(partsB === undefined) - Number(partsA === undefined);
  return (
    compareNumbers(partsA.major, partsB.major) ||
    compareNumbers(partsA.minor, partsB.minor) ||
    compareNumbers(partsA.patch, partsB.patch) ||
    compareText(partsA.kind, partsB.kind) ||
    compareNumbers(partsA.pre, partsB.pre)
  );
}

/** Whether `version` is `least` or above: `goVersionAtLeast(goVersionOf(goMod), prunedSince)`. */
export function goVersionAtLeast(version: string, least: string): boolean {
  return compareGoVersions(version, least) >= 0;
}

/** The Go version of a module: that of its go line, else 1.16 (gover.FromGoMod). */
export function goVersionOf(goMod: Pick<GoMod, "go">): string {
  return goMod.go ?? DEFAULT_GO_MOD_VERSION;
}

function parse(text: string): Parts | undefined {
  const found = form.exec(text);
  if (found === null) return undefined;
  const [, major = "", minor, patch, kind = "", pre = ""] = found;
  if (minor === undefined) return { major, minor: "0", patch: "0", kind: "", pre: "" };
  const old = kind === "" && compareNumbers(minor, FIRST_STRICT_MINOR) < 0;
  return { major, minor, patch: patch ?? (old ? "0" : ""), kind, pre };
}

/** Compares decimal numbers without leading zeros; an absent one, empty, is below all. */
function compareNumbers(a: string, b: string): number {
  return Math.sign(a.length - b.length) || compareText(a, b);
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
