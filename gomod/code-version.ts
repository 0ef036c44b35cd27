import { checkPseudoVersion, SHORT_DIGITS } from "./code-pseudo-version.ts";
import {
  type CodeModule,
  type CodeRepository,
  type Commit,
  joinPath,
  locateModule,
  type ModuleLocation,
  pathMajorOf,
} from "./code-repository.ts";
import {
  INCOMPATIBLE,
  matchesPathMajor,
  tagPrefix,
  tagsOn,
  versionOfTag,
  withoutIncompatible,
} from "./code-tags.ts";
import { FormatError } from "./format-error.ts";
import { parseGoMod } from "./go-mod.ts";
import { pathMajorPrefix } from "./module-path.ts";
import { isPseudoVersion, pseudoVersion, pseudoVersionRev } from "./pseudo-version.ts";
import { compareSemver, isValidSemver, major, prerelease } from "./semver.ts";
import { canonicalVersion, type Version, version } from "./version.ts";

/** What go makes of a commit. */
export interface CodeVersion {
  readonly version: Version;
  readonly location: ModuleLocation;
}

/** The tag, branch or hash that `revision` stands for: `sub/v1.2.3` for v1.2.3 of a module in `sub` (codeRepo.revToRev). */
export function codeRevision(module: CodeModule, revision: string): string {
  if (!isValidSemver(revision)) return revision;
  if (isPseudoVersion(revision)) return pseudoVersionRev(revision);
  return tagPrefix(module) + withoutIncompatible(revision);
}

/**
 * The version that go gives this commit of the module (codeRepo.convert): its tag where one fits the path, else a
 * pseudo-version above the highest fitting tag among its ancestors that is not retracted; `+incompatible` where the
 * tag is v2 or higher and there is no go.mod.
 * @param asked what the user asked for: a version, a tag, a branch, a hash.
 * @throws FormatError where the commit holds no such module, or `asked` is a version that it does not have.
 */
export async function versionOfCommit(
  repository: CodeRepository,
  module: CodeModule,
  commit: Commit,
  asked: string,
): Promise<CodeVersion> {
  const found = await new Resolution(repository, module, commit, asked).resolve();
  // Before go takes files of a pseudo-version that it made itself, it asks for it by this name.
  if (isPseudoVersion(found) && found !== asked) {
    await new Resolution(repository, module, commit, found).resolve();
  }
  const location = await locateModule(repository, module, commit.hash);
  return { version: version(found), location };
}

/** The tag that makes this commit this version, as `refs/tags/…`; undefined for a pseudo-version. */
export function refOfVersion(
  repository: CodeRepository,
  module: CodeModule,
  commit: Commit,
  of: Version,
): string | undefined {
  const name = tagPrefix(module) + withoutIncompatible(of);
  const tag = tagsOn(repository, commit.hash).find((each) => each.name === name);
  return tag && `refs/tags/${tag.name}`;
}

class Resolution {
  readonly #repository: CodeRepository;
  readonly #module: CodeModule;
  readonly #commit: Commit;
  readonly #asked: string;
  readonly #pathMajor: string;

  constructor(repository: CodeRepository, module: CodeModule, commit: Commit, asked: string) {
    this.#repository = repository;
    this.#module = module;
    this.#commit = commit;
    this.#asked = asked;
    this.#pathMajor = pathMajorOf(module.path);
  }

  async resolve(): Promise<string> {
    const asked = this.#asked;
    if (isPseudoVersion(asked)) {
      const checked = await this.#checkCanonical(asked);
      await checkPseudoVersion(this.#repository, this.#module, this.#commit, asked);
      return checked;
    }
    const named = this.#commit.tag === undefined ? undefined : versionOfTag(this.#module, this.#commit.tag);
    if (named?.isCanonical) {
      const checked = await this.#checkCanonical(named.version).catch(ignoreFormat);
      if (checked !== undefined) return checked;
    }
    const isRetracted = await this.#retractions();
    let highest = "";
    let base = "";
    for (const { name } of tagsOn(this.#repository, this.#commit.hash)) {
      const tag = versionOfTag(this.#module, name);
      if (asked !== "" && compareSemver(tag?.version ?? "", asked) === 0) {
        if (tag?.isCanonical) return this.#checkCanonical(tag.version);
        base = tag?.version ?? "";
      }
      if (!tag?.isCanonical || compareSemver(highest, tag.version) >= 0 || isRetracted(tag.version)) continue;
      if (await this.#fits(tag.version)) highest = tag.version;
    }
    if (highest !== "") return this.#checkCanonical(highest);
    base ||= await this.#highestBefore(isRetracted);
    const short = this.#commit.hash.slice(0, SHORT_DIGITS);
    return this.#checkCanonical(
      pseudoVersion(pathMajorPrefix(this.#pathMajor), base, this.#commit.time, short),
    );
  }

  async #fits(found: string): Promise<boolean> {
    return matchesPathMajor(found, this.#pathMajor) || (await this.#mayBeIncompatible(found));
  }

  /** The highest version tagged on the commit or before it, or empty (codehost.gitRepo.RecentTag). */
  async #highestBefore(isRetracted: (tagged: string) => boolean): Promise<string> {
    let highest = "";
    const prefix = tagPrefix(this.#module);
    for (const name of await this.#repository.tagsUpTo(this.#commit.hash)) {
      const tag = versionOfTag(this.#module, name);
      if (tag === undefined || isRetracted(tag.version) || !(await this.#fits(tag.version))) continue;
      const semver = name.slice(prefix.length);
      if (compareSemver(semver, highest) > 0) highest = semver;
    }
    return highest === "" ? "" : (versionOfTag(this.#module, prefix + highest)?.version ?? "");
  }

  /** Whether the commit has no go.mod that would speak against `+incompatible`. */
  async #mayBeIncompatible(found: string): Promise<boolean> {
    if (this.#module.directory !== "" || this.#pathMajor !== "") return false;
    const { hash } = this.#commit;
    if ((await this.#repository.readFile(hash, "go.mod")) !== undefined) return false;
    if (this.#asked.endsWith(INCOMPATIBLE)) return true;
    return (await this.#repository.readFile(hash, joinPath(major(found), "go.mod"))) === undefined;
  }

  /** Holds a canonical version against the path, and against what was asked (codeRepo.convert, checkCanonical). */
  async #checkCanonical(canonical: string): Promise<string> {
    await locateModule(this.#repository, this.#module, this.#commit.hash);
    const asked = this.#asked;
    let found = canonical === withoutIncompatible(asked) ? asked : canonical;
    const base = withoutIncompatible(found);
    let problem: string | undefined;
    if (!matchesPathMajor(base, this.#pathMajor)) {
      if (await this.#mayBeIncompatible(base)) found = base + INCOMPATIBLE;
      else if (this.#pathMajor !== "")
        problem = "module path includes a major version suffix, so major version must match";
      else
        problem = `module contains a go.mod file, so module path must match major version (${this.#module.path}/${major(found)})`;
    } else if (found.endsWith(INCOMPATIBLE)) {
      problem = `+incompatible suffix not allowed: major version ${major(found)} is compatible`;
    }
    if (asked !== "" && asked === canonicalVersion(asked) && withoutIncompatible(asked) !== base) {
      throw this.#refusal(asked, `resolves to version ${found} (${withoutIncompatible(asked)} is not a tag)`);
    }
    if (problem !== undefined) throw this.#refusal(found, problem);
    return found;
  }

  /** Which versions the highest release's go.mod retracts (codeRepo.retractedVersions). */
  async #retractions(): Promise<(tagged: string) => boolean> {
    const releases = this.#repository.tags.filter(({ name }) => {
      const tag = versionOfTag(this.#module, name);
      return (
        tag?.isCanonical && !isPseudoVersion(tag.version) && matchesPathMajor(tag.version, this.#pathMajor)
      );
    });
    const versions = releases.map(({ name, hash }) => ({
      hash,
      version: name.slice(tagPrefix(this.#module).length),
    }));
    versions.sort((a, b) => compareSemver(a.version, b.version));
    const highest = versions.findLast((each) => prerelease(each.version) === "") ?? versions.at(-1);
    if (highest === undefined) return () => false;
    try {
      const { goMod } = await locateModule(this.#repository, this.#module, highest.hash);
      const { retract } = parseGoMod("go.mod", goMod ?? new Uint8Array(), "lax");
      return (tagged) =>
        retract.some(({ low, high }) => compareSemver(low, tagged) <= 0 && compareSemver(tagged, high) <= 0);
    } catch (error) {
      ignoreFormat(error);
      return () => false;
    }
  }

  #refusal(refused: string, problem: string): FormatError {
    const subject = `${this.#module.path}@${refused}`;
    return new FormatError(subject, `${subject}: ${problem}`);
  }
}

function ignoreFormat(error: unknown): undefined {
  if (!(error instanceof FormatError)) throw error;
}
