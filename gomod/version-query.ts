import type { GoMod } from "./go-mod.ts";
import type { ModulePath } from "./module-path.ts";
import { isPseudoVersion } from "./pseudo-version.ts";
import { compareSemver, prerelease } from "./semver.ts";
import { compareVersions, isIncompatible, type Version } from "./version.ts";

/**
 * What an upstream offers of a module. Neither throws for a module that the upstream does not have, refuses, or answers
 * for with nonsense: such a module simply offers nothing.
 */
export interface VersionLists {
  /** The releases and pre-releases of `@v/list`, ascending, each once and of this path. */
  list(path: ModulePath): Promise<readonly Version[]>;
  /** What `@latest` names; asked only where the list has nothing that may be taken. */
  latest(path: ModulePath): Promise<Version | undefined>;
}

/**
 * `latest`: what `module@latest` asks; `upgrade`: `list -m -u`, `get -u` and `get module`; `patch`: `get -u=patch`.
 * The last two start from the version in use; of the first, that decides only whether `+incompatible` versions count.
 */
export type VersionQuery =
  | { readonly kind: "latest"; readonly current?: Version }
  | { readonly kind: "upgrade" | "patch"; readonly current: Version };

/** What a query looks at besides the list. */
export interface QueryRules {
  /** Whether a version may be taken: neither excluded nor retracted (modload.AllowedFunc). */
  isAllowed(version: Version): boolean;
  /** Whether upstream's `.mod` is more than what cmd/go makes up; see `isMadeUp`. */
  hasGoMod(version: Version): Promise<boolean>;
}

/** What of a list decides a query: a list of these alone, or with any others of it besides, gives the same answer. */
export interface QueryAnswer {
  /** Undefined where there is none: then `latest` fails, and the others stay at the current version. */
  readonly found: Version | undefined;
  /** The compatible version whose `.mod` was asked whether `+incompatible` ones count. */
  readonly decider: Version | undefined;
}

/**
 * Answers a query as go does (cmd/go/internal/modload, query.go: queryProxy and queryMatcher.filterVersions): the
 * highest release that is allowed and not below the current version, else the highest such pre-release, else, for
 * `latest` or from a pseudo-version, what `@latest` names. `+incompatible` versions count where the current one is
 * one, or no compatible one is allowed, or the last of these has no go.mod file of its own. `patch` looks at the
 * current version's major.minor only.
 *
 * Go then stays at a current pseudo-version that is younger than what it found; that is left to the client, who asks
 * the found version's `.info` for it.
 * @throws what `hasGoMod` throws; go then fails, too.
 */
export async function answerQuery(
  listed: readonly Version[],
  latest: () => Promise<Version | undefined>,
  query: VersionQuery,
  rules: QueryRules,
): Promise<QueryAnswer> {
  const { current } = query;
  const least = query.kind === "latest" ? undefined : current;
  const prefix = query.kind === "patch" ? majorMinorPrefix(query.current) : "";
  const mayTake = (version: Version) =>
    version.startsWith(prefix) &&
    (least === undefined || compareSemver(version, least) >= 0) &&
    rules.isAllowed(version);
  const candidates: Version[] = [];
  let takesIncompatible = current !== undefined && isIncompatible(current);
  let lastCompatible: Version | undefined;
  let decider: Version | undefined;
  for (const version of listed) {
    if (!mayTake(version)) continue;
    if (!takesIncompatible) {
      if (!isIncompatible(version)) lastCompatible = version;
      else if (lastCompatible !== undefined) {
        decider = lastCompatible;
        if (await rules.hasGoMod(lastCompatible)) break;
        takesIncompatible = true;
      }
    }
    candidates.push(version);
  }
  const best = candidates.findLast((version) => prerelease(version) === "") ?? candidates.at(-1);
  if (best !== undefined) return { found: best, decider };
  if (least !== undefined && !isPseudoVersion(least)) return { found: undefined, decider };
  const named = await latest();
  return { found: named !== undefined && mayTake(named) ? named : undefined, decider };
}

/**
 * What `latest` means among versions in any order, of which all may be taken: as `answerQuery`, where the highest
 * pseudo-version is what `@latest` names.
 * @param hasGoMod as QueryRules has it; asked at most once.
 * @returns undefined where there is none at all.
 */
export async function latestOf(
  versions: Iterable<Version>,
  hasGoMod: QueryRules["hasGoMod"],
): Promise<Version | undefined> {
  const sorted = [...versions].sort(compareVersions);
  const listed = sorted.filter((version) => !isPseudoVersion(version));
  const rules = { isAllowed: () => true, hasGoMod };
  return (await answerQuery(listed, async () => sorted.at(-1), { kind: "latest" }, rules)).found;
}

/** `v1.2.` of `v1.2.3-pre`. */
function majorMinorPrefix(version: Version): string {
  return version.slice(0, version.indexOf(".", version.indexOf(".") + 1) + 1);
}

/** Whether a go.mod's `retract` lines name the version (modload.CheckRetractions). */
export function isRetracted(version: string, { retract }: Pick<GoMod, "retract">): boolean {
  return retract.some(
    ({ low, high }) => compareSemver(low, version) <= 0 && compareSemver(version, high) <= 0,
  );
}

/** Whether a parsed go.mod is what cmd/go makes up for the module when it has none; by its bytes, see `isLegacyGoMod`. */
export function isMadeUp(path: string, goMod: GoMod): boolean {
  return goMod.isLegacy === true && goMod.module?.path === path;
}
