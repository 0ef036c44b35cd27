import type { CodeModule, CodeRepository, Tag } from "./code-repository.ts";
import { checkPathMajor } from "./module-path.ts";
import { isPseudoVersion } from "./pseudo-version.ts";
import { canonicalSemver } from "./semver.ts";

export const INCOMPATIBLE = "+incompatible";

/** What the tags of a module begin with: `sub/`, or nothing for one at the root. */
export function tagPrefix(module: CodeModule): string {
  return module.directory === "" ? "" : `${module.directory}/`;
}

/**
 * The version that a tag names for this module; undefined where it names none: another module's, a pseudo-version,
 * `v1` or `v1.2` alone. A tag with build metadata names the version without them, and is not canonical
 * (codeRepo.convert, tagToVersion).
 */
export function versionOfTag(
  module: CodeModule,
  tag: string,
): { readonly version: string; readonly isCanonical: boolean } | undefined {
  const prefix = tagPrefix(module);
  if (!tag.startsWith(prefix) || isPseudoVersion(tag)) return undefined;
  const trimmed = tag.slice(prefix.length);
  const version = canonicalSemver(trimmed);
  if (version === "" || !trimmed.startsWith(version)) return undefined;
  return { version, isCanonical: version === trimmed };
}

/** The tags on one commit. */
export function tagsOn(repository: CodeRepository, commit: string): readonly Tag[] {
  return repository.tags.filter((tag) => tag.hash === commit);
}

/** Whether a version belongs to a path with this ending (module.MatchPathMajor). */
export function matchesPathMajor(version: string, pathMajor: string): boolean {
  try {
    checkPathMajor(version, pathMajor);
    return true;
  } catch {
    return false;
  }
}

/** The tag of an `+incompatible` version. */
export function withoutIncompatible(text: string): string {
  return text.endsWith(INCOMPATIBLE) ? text.slice(0, -INCOMPATIBLE.length) : text;
}
