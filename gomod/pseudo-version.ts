import { FormatError } from "./format-error.ts";
import { quote } from "./go-quote.ts";
import { build, canonicalSemver, isValidSemver, prerelease } from "./semver.ts";

/**
 * Pseudo-versions: names for untagged commits, made so that they sort behind the tag before them
 * (golang.org/x/mod/module/pseudo.go). The forms are
 *
 *     vX.0.0-yyyymmddhhmmss-rev               no earlier tag
 *     vX.Y.(Z+1)-0.yyyymmddhhmmss-rev         after vX.Y.Z
 *     vX.Y.Z-pre.0.yyyymmddhhmmss-rev         after vX.Y.Z-pre
 *
 * the latter two with the earlier tag's build metadata, such as +incompatible.
 */
interface Parts {
  /** What stands before the time stamp: `vX.0.0`, `vX.Y.Z-0` or `vX.Y.Z-pre.0`. */
  readonly base: string;
  /** yyyymmddhhmmss, UTC; 14 digits that need not name a real time. */
  readonly timestamp: string;
  readonly rev: string;
  readonly build: string;
}

const TIMESTAMP_LENGTH = 14;

/** Whether the version has the form of a pseudo-version (module.IsPseudoVersion). */
export function isPseudoVersion(version: string): boolean {
  return split(version) !== undefined;
}

/**
 * Makes a pseudo-version (module.PseudoVersion).
 * @param majorVersion `v2`, used where `older` is empty; empty stands for v0
 * @param older the tag before the commit, or empty
 * @param time the commit's time; fractions of a second are cut off
 * @param rev the commit's name, by custom 12 hexadecimal digits
 * @throws FormatError where the time has no four-digit year.
 */
export function pseudoVersion(majorVersion: string, older: string, time: Date, rev: string): string {
  const stamped = Number.isNaN(time.getTime()) ? "" : time.toISOString();
  if (!/^\d{4}-/.test(stamped)) {
    throw new FormatError(
      rev,
      `no pseudo-version for commit ${quote(rev)}: its time is outside years 0 to 9999`,
    );
  }
  const segment = `${stamped.slice(0, 19).replace(/[-:T]/g, "")}-${rev}`;
  const metadata = build(older);
  const canonical = canonicalSemver(older);
  if (canonical === "") return `${majorVersion || "v0"}.0.0-${segment}`;
  if (prerelease(canonical) !== "") return `${canonical}.0.${segment}${metadata}`;
  const patch = canonical.lastIndexOf(".") + 1;
  const next = BigInt(canonical.slice(patch)) + 1n;
  return `${canonical.slice(0, patch)}${next}-0.${segment}${metadata}`;
}

/** The placeholder of a major version, with zero time and zero commit (module.ZeroPseudoVersion). */
export function zeroPseudoVersion(majorVersion: string): string {
  return `${majorVersion || "v0"}.0.0-00010101000000-000000000000`;
}

/**
 * The version that a pseudo-version follows, or the empty string where it follows none (module.PseudoVersionBase).
 * @throws FormatError where it is no pseudo-version, or follows a version that cannot be.
 */
export function pseudoVersionBase(version: string): string {
  const parts = splitOrThrow(version);
  const pre = prerelease(parts.base);
  if (pre === "") {
    if (parts.build === "") return "";
    throw invalid(version, `lacks base version, but has build metadata ${quote(parts.build)}`);
  }
  if (pre !== "-0") return parts.base.slice(0, -".0".length) + parts.build;
  const release = parts.base.slice(0, -pre.length);
  const patch = release.lastIndexOf(".") + 1;
  const next = BigInt(release.slice(patch));
  if (next === 0n) throw invalid(version, `version before ${release} would have negative patch number`);
  return `${release.slice(0, patch)}${next - 1n}${parts.build}`;
}

/**
 * The commit's time (module.PseudoVersionTime).
 * @throws FormatError where `version` is no pseudo-version, or its digits name no time, such as month 13.
 */
export function pseudoVersionTime(version: string): Date {
  const { timestamp } = splitOrThrow(version);
  const iso = timestamp.replace(/^(....)(..)(..)(..)(..)(..)$/, "$1-$2-$3T$4:$5:$6.000Z");
  const time = new Date(iso);
  // Date takes February 30 and 24:00 for the next day: what does not come back the same was no time.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== iso) {
    throw invalid(version, `malformed time ${quote(timestamp)}`);
  }
  return time;
}

/**
 * The commit's name, by custom 12 hexadecimal digits (module.PseudoVersionRev).
 * @throws FormatError where `version` is no pseudo-version.
 */
export function pseudoVersionRev(version: string): string {
  return splitOrThrow(version).rev;
}

function splitOrThrow(version: string): Parts {
  const parts = split(version);
  if (parts === undefined) throw invalid(version, "syntax error");
  return parts;
}

function invalid(version: string, problem: string): FormatError {
  return new FormatError(version, `pseudo-version ${quote(version)} invalid: ${problem}`);
}

function split(version: string): Parts | undefined {
  const dash = version.indexOf("-");
  if (dash < 0 || !isValidSemver(version)) return undefined;
  const plus = version.indexOf("+");
  const end = plus < 0 ? version.length : plus;
  const revStart = version.lastIndexOf("-", end - 1) + 1;
  const timeStart = revStart - 1 - TIMESTAMP_LENGTH;
  if (timeStart <= dash) return undefined;
  for (let at = timeStart; at < revStart - 1; at++) {
    const code = version.charCodeAt(at);
    if (code < 48 || code > 57) return undefined;
  }
  if (revStart === end || version.slice(revStart, end).includes(".")) return undefined;
  const head = version.slice(0, timeStart);
  const afterNone = timeStart === dash + 1 && head.endsWith(".0.0-");
  const afterRelease = timeStart === dash + 3 && head.endsWith("-0.");
  const afterPrerelease = timeStart > dash + 3 && head.endsWith(".0.");
  if (!afterNone && !afterRelease && !afterPrerelease) return undefined;
  return {
    base: head.slice(0, -1),
    timestamp: version.slice(timeStart, revStart - 1),
    rev: version.slice(revStart, end),
    build: version.slice(end),
  };
}
