import { parseInfo } from "../gomod/info.ts";
import { parseVersionList, type VersionList } from "../gomod/list-file.ts";
import type { ModulePath } from "../gomod/module-path.ts";
import type { LoadGoMod } from "../gomod/requirements.ts";
import { isVersionOf, type ModuleVersion, moduleVersion, type Version } from "../gomod/version.ts";
import { answerQuery, isMadeUp, isRetracted } from "../gomod/version-query.ts";
import { asMirrorError, MirrorError } from "./errors.ts";
import type { Upstream } from "./ports.ts";
import { newestOf } from "./version-lists.ts";

const NO_VERSIONS: VersionList = { versions: [], pseudoVersions: [], times: new Map() };

/**
 * The version that `module@latest` means at this upstream, as `answerQuery` has it: of its list, else its `@latest`,
 * without what the highest version retracts (cmd/go/internal/modload, query.go and CheckRetractions).
 * @throws MirrorError absent when the upstream has neither, or all is retracted; what loading a go.mod throws.
 */
export async function resolveLatest(
  upstream: Pick<Upstream, "list" | "latest">,
  path: ModulePath,
  load: LoadGoMod,
): Promise<ModuleVersion> {
  const subject = `${path}@latest`;
  const hasGoMod = async (version: Version) => !isMadeUp(path, await load({ path, version }));
  let named: Promise<Version> | undefined;
  try {
    const list = await orAbsent(readList(upstream, path), NO_VERSIONS);
    const listed = ofPath(path, list);
    const latest = () => {
      named ??= namedLatest(upstream, path, list);
      return named;
    };
    const answer = async (
      from: () => Promise<Version | undefined>,
      isAllowed: (version: Version) => boolean,
    ) => (await answerQuery(listed, from, { kind: "latest" }, { isAllowed, hasGoMod })).found;
    const highest = (await answer(latest, () => true)) ?? (await latest());
    const goMod = await load({ path, version: highest });
    const best = await answer(
      () => orAbsent(latest(), undefined),
      (version) => !isRetracted(version, goMod),
    );
    if (best !== undefined) return { path, version: best };
    const message = `${subject}: ${highest} retracts every version; name the one that you want`;
    throw new MirrorError("absent", subject, message);
  } catch (thrown) {
    throw asMirrorError(thrown, subject);
  }
}

async function readList(upstream: Pick<Upstream, "list">, path: ModulePath): Promise<VersionList> {
  return parseVersionList(await upstream.list(path));
}

/** Without versions that are no module's of this path. */
function ofPath(path: ModulePath, { versions }: VersionList): readonly Version[] {
  return versions.filter((version) => isVersionOf(path, version));
}

async function namedLatest(
  upstream: Pick<Upstream, "latest">,
  path: ModulePath,
  list: VersionList,
): Promise<Version> {
  try {
    return moduleVersion(path, parseInfo(await upstream.latest(path)).version).version;
  } catch (thrown) {
    const newest =
      thrown instanceof MirrorError && thrown.class === "absent" ? newestOf(path, list) : undefined;
    if (newest === undefined) throw thrown;
    return newest;
  }
}

/** A module without a list may still have an `@latest`, and the other way round. */
async function orAbsent<Found, None>(found: Promise<Found>, none: None): Promise<Found | None> {
  try {
    return await found;
  } catch (thrown) {
    if (thrown instanceof MirrorError && thrown.class === "absent") return none;
    throw thrown;
  }
}
