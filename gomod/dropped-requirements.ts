import { type BuildRequest, exclusions } from "./main-modules.ts";
import type { LoadGoMod } from "./requirements.ts";
import { canonicalVersion } from "./version.ts";

/** Modules that a go.mod file requires at a version which the project excludes: go passes over that line. */
export class DroppedRequirements {
  readonly paths = new Set<string>();
  readonly #excluded: ReadonlySet<string>;
  readonly #load: LoadGoMod;

  constructor(request: BuildRequest, load: LoadGoMod) {
    this.#excluded = exclusions(request);
    this.#load = load;
  }

  readonly load: LoadGoMod = async (wanted) => {
    const goMod = await this.#load(wanted);
    if (this.#excluded.size === 0) return goMod;
    for (const { path, version } of goMod.require)
      if (this.#excluded.has(`${path}@${canonicalVersion(version) || version}`)) this.paths.add(path);
    return goMod;
  };
}
