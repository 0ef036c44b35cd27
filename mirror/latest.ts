import { isPseudoVersion } from "../gomod/pseudo-version.ts";
import { prerelease } from "../gomod/semver.ts";
import { compareVersions, isIncompatible, type Version } from "../gomod/version.ts";

/**
 * The version that `latest` means among these, as cmd/go has it (modload, queryMatcher.filterVersions and
 * queryProxy): the highest release, else the highest pre-release, else the highest pseudo-version. `+incompatible`
 * ones count only where there is no compatible one, or the last of those has no go.mod file of its own.
 * @param hasGoMod asked at most once.
 * @returns undefined where there is none at all.
 */
export async function latestVersion(
  versions: Iterable<Version>,
  hasGoMod: (version: Version) => Promise<boolean>,
): Promise<Version | undefined> {
  const sorted = [...versions].sort(compareVersions);
  const tagged = sorted.filter((version) => !isPseudoVersion(version));
  const compatible = tagged.filter((version) => !isIncompatible(version));
  const last = compatible.at(-1);
  const onlyCompatible =
    last !== undefined && (compatible.length === tagged.length || (await hasGoMod(last)));
  const candidates = onlyCompatible ? compatible : tagged;
  return candidates.findLast((version) => prerelease(version) === "") ?? candidates.at(-1) ?? sorted.at(-1);
}
