import { FormatError } from "./format-error.ts";
import type { BuildRequest } from "./main-modules.ts";
import type { ModulePath } from "./module-path.ts";
import { isPseudoVersion } from "./pseudo-version.ts";
import type { LoadGoMod, Node, Requirements } from "./requirements.ts";
import {
  compareVersions,
  formatModuleVersion,
  type ModuleVersion,
  moduleVersion,
  type Version,
} from "./version.ts";
import {
  answerQuery,
  isMadeUp,
  isRetracted,
  type QueryAnswer,
  type VersionLists,
  type VersionQuery,
} from "./version-query.ts";

/** What a module offers, and which versions of it may not be taken. */
interface Offer {
  readonly versions: readonly Version[];
  readonly isAllowed: (version: Version) => boolean;
}

/** The answers to the three queries. */
export interface Instead {
  readonly latest: Version | undefined;
  readonly upgrade: Version | undefined;
  readonly patch: Version | undefined;
}

/** Go's version of what is replaced without one (module.ZeroPseudoVersion); of any path here, for none is asked for it. */
const ZERO_VERSION = "v0.0.0-00010101000000-000000000000";

const LATEST: VersionQuery = { kind: "latest" };

/**
 * Answers the queries of one build, with its exclusions and replacements, and those of any other module that follows
 * the same list. Each list is asked once.
 */
export class UpgradeOffers {
  /** The versions that decided an answer: lists that name them, and any others, give the same answers. */
  readonly named = new Map<string, ModuleVersion>();
  readonly #requirements: Requirements;
  readonly #load: LoadGoMod;
  readonly #lists: VersionLists;
  readonly #limit: number;
  /** Versions that only a `replace` line has, by path (modload.replacementRepo). */
  readonly #madeUp: ReadonlyMap<string, readonly Version[]>;
  readonly #asked = new Map<ModulePath, Promise<readonly Version[]>>();
  readonly #instead = new Map<string, Promise<Instead>>();
  readonly #offers = new Map<ModulePath, Promise<Offer>>();

  /** @param limit how many modules may be asked. */
  constructor(
    request: BuildRequest,
    requirements: Requirements,
    load: LoadGoMod,
    lists: VersionLists,
    limit: number,
  ) {
    this.#requirements = requirements;
    this.#load = load;
    this.#lists = lists;
    this.#limit = limit;
    this.#madeUp = madeUpVersions(request);
  }

  /**
   * What this build may take instead of `current`: by `module@latest`; by `list -m -u`, `get -u` and `module@upgrade`;
   * by `get -u=patch` and `module@patch`. Undefined where there is nothing to take, or it is `current` itself.
   * @throws FormatError for more modules than a build can have.
   */
  async instead(path: ModulePath, current: Version): Promise<Instead> {
    const name = formatModuleVersion({ path, version: current });
    const known = this.#instead.get(name);
    if (known !== undefined) return await known;
    const answers = this.#answers(path, current);
    this.#instead.set(name, answers);
    return await answers;
  }

  /** What a build takes that does not have the module yet: what its `replace` lines name, and `module@latest`. */
  async anew(path: ModulePath): Promise<Node[]> {
    const replaced = this.#madeUp.get(path)?.toSorted(compareVersions).at(-1) ?? ZERO_VERSION;
    const latest = await this.#answer(path, LATEST, await this.#inBuild(path));
    return [replaced, latest]
      .flatMap((version) => (version === undefined ? [] : [this.#requirements.node(path, version)]))
      .filter(({ replaced, version }) => replaced || version === latest);
  }

  async #answers(path: ModulePath, current: Version): Promise<Instead> {
    const offer = await this.#inBuild(path);
    const latest = await this.#answer(path, { kind: "latest", current }, offer);
    const upgrade = await this.#answer(path, { kind: "upgrade", current }, offer);
    const patch = await this.#answer(path, { kind: "patch", current }, offer);
    return { latest, upgrade, patch };
  }

  #listOf(path: ModulePath): Promise<readonly Version[]> {
    const known = this.#asked.get(path);
    if (known !== undefined) return known;
    if (this.#asked.size >= this.#limit)
      throw new FormatError(path, `upgrades lead to more than ${this.#limit} modules`);
    const list = this.#lists.list(path);
    this.#asked.set(path, list);
    return list;
  }

  #inBuild(path: ModulePath): Promise<Offer> {
    const known = this.#offers.get(path);
    if (known !== undefined) return known;
    const offer = this.#read(path);
    this.#offers.set(path, offer);
    return offer;
  }

  async #read(path: ModulePath): Promise<Offer> {
    const listed = await this.#listOf(path);
    // As any other module sees it: this alone is what the list must bear for `get` and `install` of `@latest`.
    const all: Offer = { versions: listed, isAllowed: () => true };
    const highest = await this.#answer(path, LATEST, all);
    const goMod =
      highest === undefined ? undefined : await this.#load({ path, version: highest }).catch(() => undefined);
    const plain: Offer = {
      versions: listed,
      isAllowed: (version) => goMod === undefined || !isRetracted(version, goMod),
    };
    await this.#answer(path, LATEST, plain);
    return await this.#withReplacements(path, plain);
  }

  /** The same under this build's exclusions and replacements (modload.State.CheckAllowed). */
  async #withReplacements(path: ModulePath, plain: Offer): Promise<Offer> {
    const isExcluded = (version: Version) => this.#requirements.isExcluded(path, version);
    const made = this.#madeUp.get(path) ?? [];
    const versions = [...new Set([...plain.versions, ...made])].sort(compareVersions);
    if (this.#requirements.isReplaced(path))
      return { versions, isAllowed: (version) => !isExcluded(version) };
    if (made.length === 0) {
      return { versions, isAllowed: (version) => !isExcluded(version) && plain.isAllowed(version) };
    }
    const highest = await this.#answer(path, LATEST, { versions, isAllowed: () => true });
    const goMod =
      highest === undefined
        ? undefined
        : await this.#requirements.goModOf(this.#requirements.node(path, highest));
    return {
      versions,
      isAllowed: (version) => !isExcluded(version) && (goMod === undefined || !isRetracted(version, goMod)),
    };
  }

  async #answer(path: ModulePath, query: VersionQuery, offer: Offer): Promise<Version | undefined> {
    const rules = {
      isAllowed: offer.isAllowed,
      hasGoMod: async (version: Version) => !isMadeUp(path, await this.#load({ path, version })),
    };
    let answer: QueryAnswer;
    try {
      answer = await answerQuery(offer.versions, () => this.#lists.latest(path), query, rules);
    } catch {
      // The decider's go.mod cannot be had: go fails here, so nothing is taken.
      return undefined;
    }
    const made = this.#madeUp.get(path) ?? [];
    // Without anything better in the list, go stays at the current version.
    const current = query.kind === "latest" ? undefined : query.current;
    const found = answer.found === current ? undefined : answer.found;
    for (const version of [found, answer.decider]) {
      if (version === undefined || made.includes(version)) continue;
      this.named.set(formatModuleVersion({ path, version }), { path, version });
    }
    return found;
  }
}

/** Of the go.mod files' lines alone: go does not look into go.work here (modload, replacementRepo.Versions). */
function madeUpVersions(request: BuildRequest): Map<string, Version[]> {
  const made = new Map<string, Version[]>();
  for (const { old } of request.mains.flatMap(({ goMod }) => goMod.replace)) {
    if (old.version === undefined) continue;
    try {
      const { version } = moduleVersion(old.path, old.version);
      if (!isPseudoVersion(version)) made.set(old.path, [...(made.get(old.path) ?? []), version]);
    } catch {
      // A line for what can be no module's version makes none up.
    }
  }
  return made;
}
