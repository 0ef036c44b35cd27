import { type CodeModule, type CodeRepository, type Commit, pathMajorOf } from "./code-repository.ts";
import { tagPrefix, tagsOn, withoutIncompatible } from "./code-tags.ts";
import { FormatError } from "./format-error.ts";
import { pathMajorPrefix } from "./module-path.ts";
import { pseudoVersionBase, pseudoVersionRev, pseudoVersionTime } from "./pseudo-version.ts";
import { compareSemver, major } from "./semver.ts";

/** As many digits of a commit's hash go into a pseudo-version (codehost.ShortenSHA1). */
export const SHORT_DIGITS = 12;

/**
 * Holds a pseudo-version against its commit: hash, time, and that a tag of its base lies before the commit and not on it
 * (codeRepo.validatePseudoVersion).
 * @throws FormatError saying what does not fit.
 */
export async function checkPseudoVersion(
  repository: CodeRepository,
  module: CodeModule,
  commit: Commit,
  asked: string,
): Promise<void> {
  const refusal = (problem: string) =>
    new FormatError(asked, `${module.path}@${asked}: invalid pseudo-version: ${problem}`);
  const short = commit.hash.slice(0, SHORT_DIGITS);
  if (pseudoVersionRev(asked) !== short) {
    throw refusal(`does not match short name of revision (expected ${short})`);
  }
  if (pseudoVersionTime(asked).getTime() !== commit.time.getTime()) {
    const expected = commit.time.toISOString().slice(0, 19).replace(/[-:T]/g, "");
    throw refusal(`does not match version-control timestamp (expected ${expected})`);
  }
  const base = pseudoVersionBase(withoutIncompatible(asked));
  const prefix = tagPrefix(module);
  if (base === "") {
    if (pathMajorPrefix(pathMajorOf(module.path)) === "" && major(asked) === "v1") {
      throw refusal("major version without preceding tag must be v0, not v1");
    }
    return;
  }
  const onIt = tagsOn(repository, commit.hash).find(({ name }) => withoutPrefix(name, prefix) === base);
  if (onIt !== undefined) {
    throw refusal(`tag (${onIt.name}) found on revision ${short} is already canonical: name that`);
  }
  const names = await repository.tagsUpTo(commit.hash);
  const isBase = (name: string) =>
    name.startsWith(prefix + base) && compareSemver(withoutPrefix(name, prefix), base) === 0;
  if (!names.some(isBase)) {
    throw refusal(`revision ${short} is not a descendent of preceding tag (${base})`);
  }
}

function withoutPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}
