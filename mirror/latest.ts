import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { prerelease } from "../gomod/semver.ts";
import { compareVersions, isIncompatible, type Version } from "../gomod/version.ts";

/**
 * The order of `latest` as cmd/go has it (modload/query.go): releases before pre-releases before pseudo-versions,
 * compatible ones before `+incompatible`, then the highest.
 */
export function preferLatest(a: Version, b: Version): number {
  return rank(a) - rank(b) || compareVersions(a, b);
}

function rank(version: Version): number {
  if (isPseudoVersion(version)) return 0;
  const release = prerelease(version) === "" ? 2 : 0;
  return 1 + release + (isIncompatible(version) ? 0 : 1);
}
